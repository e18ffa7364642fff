/**
 * Tells a page that slept (a frozen tab, a closed laptop) from one that runs: its timers jumped. Pure:
 * both clocks come in, as a machine that sleeps may stop the monotonic one.
 */

/** Nothing ran for longer than this: the page slept. A busy machine delays timers by less. */
export const SLEEP_MS = 4_000;

/** What passed since the last beat; both are 0 while the page is awake. */
export interface Gap {
  /** For how many ms the page has slept. */
  sleptMs: number;
  /** By how many ms the wall clock alone went ahead: the machine slept, or its clock was set. */
  jumpedMs: number;
}

export class Pulse {
  #monotonicMs: number;
  #wallMs: number;

  constructor(monotonicMs: number, wallMs: number) {
    this.#monotonicMs = monotonicMs;
    this.#wallMs = wallMs;
  }

  /** Return what passed since the last beat. */
  gap(monotonicMs: number, wallMs: number): Gap {
    const passedMs = monotonicMs - this.#monotonicMs;
    const longerMs = Math.max(passedMs, wallMs - this.#wallMs);
    if (passedMs > SLEEP_MS) return { sleptMs: longerMs, jumpedMs: 0 };
    return { sleptMs: 0, jumpedMs: longerMs > SLEEP_MS ? longerMs : 0 };
  }

  /** Take a beat; return as `gap`. */
  beat(monotonicMs: number, wallMs: number): Gap {
    const gap = this.gap(monotonicMs, wallMs);
    this.#monotonicMs = monotonicMs;
    this.#wallMs = wallMs;
    return gap;
  }
}
