/** The cost counter: the meter's last reading, the play time since then, the count last shown. */

import { correct, countOn, type Anchor, type Count } from "./meter";
import type { MeterReading } from "./types";

/** A suspended tab wakes with a jump in time: what it means is left to the meter's next reading. */
const STEP_MAX_MS = 2_000;

export class Counter {
  #anchor: Anchor;
  #shown: Count | null = null;
  #playedMs: number;
  /** What sessions before the present one were billed on this visit. */
  #before = { seconds: 0, spent: 0n };
  #lastMs: number;

  constructor(pricePlanck: bigint, nowMs: number, playedS = 0) {
    this.#lastMs = nowMs;
    this.#playedMs = playedS * 1000;
    this.#anchor = {
      reading: {
        seconds: 0,
        spent: 0n,
        balance: null,
        price: pricePlanck,
        secondsLeft: null,
        freeS: null,
        showLeft: null,
        passUntilMs: null,
      },
      playedMs: this.#playedMs,
    };
  }

  /** Whole seconds for which the picture moved on this visit, no matter on which device they were paid. */
  get playedS(): number {
    return Math.floor(this.#playedMs / 1000);
  }

  /** Another session begins, whose readings begin at 0: what was billed so far stays. */
  renew(): void {
    const { seconds, spent } = this.#anchor.reading;
    this.#before = { seconds, spent };
  }

  /** Take a reading of the meter. */
  read(reading: MeterReading): void {
    const seconds = this.#before.seconds + reading.seconds;
    const spent = this.#before.spent + reading.spent;
    // The picture stood since the last reading: nothing is on its way that a count ahead waits for.
    if (this.#playedMs === this.#anchor.playedMs) this.#shown = null;
    this.#anchor = { reading: { ...reading, seconds, spent }, playedMs: this.#playedMs };
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
    const { seconds, spent, freeS, showLeft, passUntilMs } = this.count();
    const isBilled = price > 0n && passUntilMs === null;
    const secondsLeft = isBilled ? Number(balance / price) + (freeS ?? 0) : null;
    const left = { secondsLeft, freeS, showLeft, passUntilMs };
    const reading = { seconds, spent, price, balance, ...left };
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

  /**
   * Return what to show.
   *
   * @param isRefused Nothing more is claimed: what is played out from now on was in a reading.
   */
  show(isRefused: boolean): Count {
    const { playedMs } = this.#anchor;
    this.#shown = isRefused
      ? countOn(this.#anchor, playedMs)
      : correct(this.#shown, countOn(this.#anchor, this.#playedMs));
    return this.#shown;
  }

  /** True when the most that the show costs is paid: no second of it is billed any more. */
  get isShowPaid(): boolean {
    const { showLeft } = this.count();
    return showLeft !== null && showLeft < this.#anchor.reading.price;
  }

  /** True when the balance pays for a second and is larger than `before`. */
  canGoOn(before: bigint | null): boolean {
    const { balance, price } = this.#anchor.reading;
    return balance !== null && balance >= price && balance > (before ?? -1n);
  }
}
