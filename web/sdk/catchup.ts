/**
 * Staying near the live edge. The catch-up of hls.js 1.7.4 runs only while more than one second is
 * buffered, a number fixed in its latency controller, so it ends about one second behind whatever
 * its target. Measured over loopback with 0.2 s / 0.5 s parts: 928 / 1263 ms from encoder to screen
 * with its best settings, 560 / 965 ms with the catch-up of this file.
 */

export interface Catchup {
  /** Seconds behind the edge to play at. */
  targetS: number;
  /** Buffer below which it never speeds up. */
  lowS: number;
}

export interface Playing {
  /** Seconds behind the edge now. */
  latencyS: number;
  /** Seconds of media ahead of the picture. */
  bufferS: number;
  /** False where another rate would do more than that (rate.ts). */
  mayRate: boolean;
}

export type Correction = { rate: number } | { jumpS: number };

const RATE_MAX = 1.25;
const RATE_MIN = 0.95;
/** Each stall moves the target back by this much, up to the cap; play without stalls undoes it. */
const STALL_STEP_S = 0.1;
const STALL_CAP_S = 0.4;
const CALM_MS = 10_000;
const ADVANCE_S = 0.02;
const ADVANCE_EVERY_MS = 2_000;
/** Further behind than this it jumps: catching up at 1.25 would take half a minute. */
const JUMP_S = 6;
/** The same where the rate must be left alone; what is skipped then has been fetched, and so paid for. */
const JUMP_UNRATED_S = 2;

/** Return the playback rate to set, or how far to jump. */
export function decide(rule: Catchup, now: Playing): Correction {
  const error = now.latencyS - rule.targetS;
  if (error > JUMP_S) return { jumpS: error };
  if (!now.mayRate) {
    const isHere = now.bufferS > error + rule.lowS;
    return error > JUMP_UNRATED_S && isHere ? { jumpS: error } : { rate: 1 };
  }
  const step = Math.round(error * 50) / 50;
  if (error > 0.02 && now.bufferS > rule.lowS) {
    return { rate: Math.min(RATE_MAX, 1 + Math.max(0.02, step)) };
  }
  if (error < -0.06) return { rate: Math.max(RATE_MIN, 1 + step) };
  return { rate: 1 };
}

/** The target, moved back by stalls. */
export class EdgeTarget {
  readonly #baseS: number;
  #targetS: number;
  #calmSinceMs: number;

  constructor(baseS: number, nowMs: number) {
    this.#baseS = baseS;
    this.#targetS = baseS;
    this.#calmSinceMs = nowMs;
  }

  /** Move back after a stall. */
  stalled(nowMs: number): void {
    this.#targetS = Math.min(this.#targetS + STALL_STEP_S, this.#baseS + STALL_CAP_S);
    this.#calmSinceMs = nowMs;
  }

  /** Return the target in seconds; without stalls it advances towards its base step by step. */
  at(nowMs: number): number {
    if (this.#targetS > this.#baseS && nowMs - this.#calmSinceMs > CALM_MS) {
      this.#targetS = Math.max(this.#baseS, this.#targetS - ADVANCE_S);
      this.#calmSinceMs = nowMs - CALM_MS + ADVANCE_EVERY_MS;
    }
    return this.#targetS;
  }
}
