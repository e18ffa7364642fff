/** The cost counter between two readings of the meter. Pure: time comes in as play time. */

import type { MeterReading } from "./types";

/** What the page shows. */
export interface Count {
  seconds: number;
  spent: bigint;
  /** Null until the first reading. */
  balance: bigint | null;
  secondsLeft: number | null;
  /** Seconds of the show that are still free; null until the first reading. */
  freeS: number | null;
  /** What this show may still cost; null: no bound, or not known yet. */
  showLeft: bigint | null;
  /** Until when a pass covers it all, Unix ms; 0: until the show ends. Null: none, or not known. */
  passUntilMs: number | null;
}

/** A reading, and how long the picture had played when it came. */
export interface Anchor {
  reading: Pick<MeterReading, "seconds" | "spent" | "price" | "secondsLeft"> & {
    balance: bigint | null;
    freeS: number | null;
    showLeft: bigint | null;
    passUntilMs: number | null;
  };
  playedMs: number;
}

/** Seconds by which a count may be ahead of the meter and is held; beyond that it is set back. */
export const HOLD_MAX_S = 2;

/** Below these many seconds left the viewer is warned, the most urgent last. */
export const WARNINGS = [60, 30, 10] as const;
export type Warning = (typeof WARNINGS)[number];

/** Return the count after the picture played on to `playedMs` since the anchor's reading. */
export function countOn(anchor: Anchor, playedMs: number): Count {
  const { reading } = anchor;
  let ticks = Math.max(0, Math.floor((playedMs - anchor.playedMs) / 1000));
  // The balance cannot be overdrawn: what it cannot pay for is not served.
  if (reading.secondsLeft !== null) ticks = Math.min(ticks, reading.secondsLeft);
  // What is still free is watched first, and not billed.
  let billed = Math.max(0, ticks - (reading.freeS ?? 0));
  // What would pass the most that the show costs is not billed either.
  if (reading.showLeft !== null && reading.price > 0n) {
    billed = Math.min(billed, Number(reading.showLeft / reading.price));
  }
  if (reading.passUntilMs !== null) billed = 0;
  const cost = reading.price * BigInt(billed);
  return {
    seconds: reading.seconds + billed,
    spent: reading.spent + cost,
    balance: reading.balance === null ? null : reading.balance - cost,
    secondsLeft: reading.secondsLeft === null ? null : reading.secondsLeft - ticks,
    freeS: reading.freeS === null ? null : Math.max(0, reading.freeS - ticks),
    showLeft: reading.showLeft === null ? null : reading.showLeft - cost,
    passUntilMs: reading.passUntilMs,
  };
}

/**
 * Return what to show, given what was shown: after a reading slightly behind our count the counter
 * is held until the readings catch up, as money that counts backwards looks like a bug. A larger
 * difference is a real correction and is shown at once.
 */
export function correct(shown: Count | null, counted: Count): Count {
  if (shown === null) return counted;
  const ahead = shown.seconds - counted.seconds;
  const isHeld = ahead > 0 && ahead <= HOLD_MAX_S && counted.spent <= shown.spent;
  // A deposit made meanwhile must show: hold only while the balance is not larger than before.
  const isLarger = (counted.balance ?? 0n) > (shown.balance ?? 0n) + (shown.spent - counted.spent);
  return isHeld && !isLarger ? shown : counted;
}

/** Return the warning due with this much left, or null. */
export function warningFor(secondsLeft: number | null): Warning | null {
  if (secondsLeft === null) return null;
  let due: Warning | null = null;
  for (const limit of WARNINGS) if (secondsLeft <= limit) due = limit;
  return due;
}
