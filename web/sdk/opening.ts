/** A start that gets no media: after a while the viewer is told, and offered a way on. */

import type { Reason, State } from "./snapshot";

/** As long as a picture may stand still (`STILL_MAX_MS`). */
export const LATE_MS = 8_000;

/**
 * What has come: `hasPlaylist`: the server has told what there is; `isHolding`: media is here, and what
 * becomes of it is seen by the picture.
 */
interface Loaded {
  hasPlaylist: boolean;
  isHolding: boolean;
}

export class Opening {
  #sinceMs: number | null = null;

  /** The viewer has started it anew. */
  restart(): void {
    this.#sinceMs = null;
  }

  /** Return what there is to say now, or null. Call it with each tick. */
  look(nowMs: number, state: State, player: Readonly<Loaded>): Reason | null {
    if (state !== "loading" || player.isHolding) {
      this.#sinceMs = null;
      return null;
    }
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs < LATE_MS) return null;
    return player.hasPlaylist ? "no_media" : "no_answer";
  }
}
