/** Keeps the cost counter: the meter's last reading, the play time since, and what was shown. */

import { correct, countOn, type Anchor, type Count } from "./meter";
import type { MeterReading } from "./types";

/** A suspended tab wakes with a jump; the meter knows better than such a sum. */
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

  /** Take a warning, which is all there is when a reading said nothing of an end. */
  warn(secondsLeft: number): void {
    const { reading } = this.#anchor;
    if (reading.secondsLeft !== null) return;
    this.#anchor = { reading: { ...reading, secondsLeft }, playedMs: this.#playedMs };
  }

  /** Take the balance that a deposit left. */
  deposited(balance: bigint): void {
    const { price } = this.#anchor.reading;
    const { seconds, spent } = this.count();
    const secondsLeft = price > 0n ? Number(balance / price) : null;
    const reading = { seconds, spent, price, balance, secondsLeft };
    this.#anchor = { reading, playedMs: this.#playedMs };
    this.#shown = null;
  }

  /** Let time pass; it counts while the picture moves. */
  pass(nowMs: number, isMoving: boolean): void {
    if (isMoving) this.#playedMs += Math.min(nowMs - this.#lastMs, STEP_MAX_MS);
    this.#lastMs = nowMs;
  }

  /** Return what the readings and the play time give. */
  count(): Count {
    return countOn(this.#anchor, this.#playedMs);
  }

  /** Return what to show. */
  show(): Count {
    this.#shown = correct(this.#shown, this.count());
    return this.#shown;
  }

  /** True when the purse now pays a second and holds more than `before`. */
  canGoOn(before: bigint | null): boolean {
    const { balance, price } = this.#anchor.reading;
    return balance !== null && balance >= price && balance > (before ?? -1n);
  }
}
