/** The cost counter: the meter's last reading, the play time since then, the count last shown. */

import { correct, countOn, type Anchor, type Count } from "./meter";
import type { MeterReading } from "./types";

/** A suspended tab wakes with a jump in time: what it means is left to the meter's next reading. */
const STEP_MAX_MS = 2_000;

export class Counter {
  #anchor: Anchor;
  #shown: Count | null = null;
  #playedMs = 0;
  #lastMs: number;

  constructor(pricePlanck: bigint, nowMs: number) {
    this.#lastMs = nowMs;
    this.#anchor = {
      reading: { seconds: 0, spent: 0n, balance: null, price: pricePlanck, secondsLeft: null },
      playedMs: 0,
    };
  }

  /** Take a reading of the meter. */
  read(reading: MeterReading): void {
    this.#anchor = { reading, playedMs: this.#playedMs };
  }

  /** Take a warning, the only source of `secondsLeft` when the last reading had none. */
  warn(secondsLeft: number): void {
    const { reading } = this.#anchor;
    if (reading.secondsLeft !== null) return;
    this.#anchor = { reading: { ...reading, secondsLeft }, playedMs: this.#playedMs };
  }

  /** Take the balance after a deposit. */
  deposited(balance: bigint): void {
    const { price } = this.#anchor.reading;
    const { seconds, spent } = this.count();
    const secondsLeft = price > 0n ? Number(balance / price) : null;
    const reading = { seconds, spent, price, balance, secondsLeft };
    this.#anchor = { reading, playedMs: this.#playedMs };
    this.#shown = null;
  }

  /** Advance to `nowMs`; only time in which the picture moves is counted. */
  pass(nowMs: number, isMoving: boolean): void {
    if (isMoving) this.#playedMs += Math.min(nowMs - this.#lastMs, STEP_MAX_MS);
    this.#lastMs = nowMs;
  }

  /** Return the last reading, advanced by the play time since then. */
  count(): Count {
    return countOn(this.#anchor, this.#playedMs);
  }

  /** Return what to show. */
  show(): Count {
    this.#shown = correct(this.#shown, this.count());
    return this.#shown;
  }

  /** True when the balance pays for a second and is larger than `before`. */
  canGoOn(before: bigint | null): boolean {
    const { balance, price } = this.#anchor.reading;
    return balance !== null && balance >= price && balance > (before ?? -1n);
  }
}
