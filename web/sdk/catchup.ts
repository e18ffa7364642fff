/**
 * Staying near the live edge. hls.js's own catch-up ends at one second of buffer whatever its
 * target (references/player-lab.md, 2), so this one runs in its place.
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
}

export type Move = { rate: number } | { jumpS: number };

const RATE_MAX = 1.25;
const RATE_MIN = 0.95;
/** Each stall moves the target back by this much, up to the cap, and calm gives it back. */
const STALL_STEP_S = 0.1;
const STALL_CAP_S = 0.4;
const CALM_MS = 10_000;
const GIVE_BACK_S = 0.02;
const GIVE_BACK_EVERY_MS = 2_000;
/** Further behind than this it jumps: catching up at 1.25 would take half a minute. */
const JUMP_S = 6;

/** Return the playback rate to set, or how far to jump. */
export function decide(rule: Catchup, now: Playing): Move {
  const error = now.latencyS - rule.targetS;
  if (error > JUMP_S) return { jumpS: error };
  const step = Math.round(error * 50) / 50;
  if (error > 0.02 && now.bufferS > rule.lowS) {
    return { rate: Math.min(RATE_MAX, 1 + Math.max(0.02, step)) };
  }
  if (error < -0.06) return { rate: Math.max(RATE_MIN, 1 + step) };
  return { rate: 1 };
}

/** The target as stalls move it. */
export class EdgeTarget {
  readonly #baseS: number;
  #targetS: number;
  #quietSinceMs: number;

  constructor(baseS: number, nowMs: number) {
    this.#baseS = baseS;
    this.#targetS = baseS;
    this.#quietSinceMs = nowMs;
  }

  /** Move back after a stall. */
  stalled(nowMs: number): void {
    this.#targetS = Math.min(this.#targetS + STALL_STEP_S, this.#baseS + STALL_CAP_S);
    this.#quietSinceMs = nowMs;
  }

  /** Return the target in seconds; gives back a little after each spell of calm. */
  at(nowMs: number): number {
    if (this.#targetS > this.#baseS && nowMs - this.#quietSinceMs > CALM_MS) {
      this.#targetS = Math.max(this.#baseS, this.#targetS - GIVE_BACK_S);
      this.#quietSinceMs = nowMs - CALM_MS + GIVE_BACK_EVERY_MS;
    }
    return this.#targetS;
  }
}
