/**
 * Notices that the page slept. When only the wall clock went ahead, a machine slept that stops the
 * monotonic one, or its clock was set: the server's time tells which. Until then nothing priced is
 * fetched, and what plays plays on.
 */

import { fetchBoot } from "./boot";
import { Pulse, SLEEP_MS } from "./pulse";
import type { ServerClock } from "./server_clock";

export interface SleepOptions {
  clock: ServerClock;
  /** Absolute URL of the page, which is asked for the server's time. */
  page: () => string;
  isPriced: () => boolean;
  /** The page slept for so many ms. Not called for `resume`. */
  woke: (sleptMs: number) => void;
}

export class Sleep {
  readonly #options: SleepOptions;
  readonly #pulse = new Pulse(performance.now(), Date.now());
  /** Whether it was awake, once the server has told; null while there is no doubt. */
  #doubt: Promise<boolean> | null = null;

  constructor(options: SleepOptions) {
    this.#options = options;
  }

  /** Call it with each tick. */
  beat(): void {
    const { sleptMs, jumpedMs } = this.#pulse.beat(performance.now(), Date.now());
    if (sleptMs > 0) this.#options.woke(sleptMs);
    if (jumpedMs === 0) return;
    const doubt = this.#wasAwake(jumpedMs).finally(() => {
      if (this.#doubt === doubt) this.#doubt = null;
    });
    this.#doubt = doubt;
  }

  /** The browser resumes a page that it froze: return for how many ms it slept, at most. */
  resume(): number {
    const { sleptMs, jumpedMs } = this.#pulse.beat(performance.now(), Date.now());
    return Math.max(sleptMs, jumpedMs);
  }

  /** Whether media may be fetched: not what the page slept through; free media always. */
  mayFetch(): boolean | Promise<boolean> {
    if (!this.#options.isPriced()) return true;
    const { sleptMs, jumpedMs } = this.#pulse.gap(performance.now(), Date.now());
    if (sleptMs > 0) {
      queueMicrotask(() => this.beat());
      return false;
    }
    if (jumpedMs > 0) this.beat();
    return this.#doubt ?? true;
  }

  /** Ask the server how long it was; without an answer the viewer's clock is believed. */
  async #wasAwake(jumpedMs: number): Promise<boolean> {
    const { clock } = this.#options;
    // A message that arrives meanwhile sets the clock right: what was reckoned before it counts.
    const reckonedMs = clock.isTold ? clock.nowMs(0) : null;
    const outcome = await fetchBoot(this.#options.page());
    let sleptMs = jumpedMs;
    if (outcome.kind === "boot" && outcome.boot.now_ms !== undefined && reckonedMs !== null) {
      sleptMs = outcome.boot.now_ms - (reckonedMs + outcome.atMs);
      clock.tell(outcome.boot.now_ms, outcome.atMs);
    }
    if (sleptMs < SLEEP_MS / 2) return true;
    this.#options.woke(sleptMs);
    return false;
  }
}
