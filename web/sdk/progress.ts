/**
 * Whether the picture moves, by what the element says of itself: its events are not enough, as a busy
 * decoder sends none. Pure: time and readings come in.
 */

/** So long may media arrive without being shown. Then nothing more is fetched. */
export const STILL_MAX_MS = 8_000;
/** A clock that ran on so long over a still picture had media to show. */
const RAN_ON_MS = 2_000;
/** A tick that comes late counts as this at most: the page's own delay is not the picture's. */
const STEP_MAX_MS = 1_000;

/** What the picture does. */
export interface Picture {
  /** For how long the element's clock has not moved. */
  stillMs: number;
  /** The clock moves, and there is no picture to see: sound alone, or a hidden page. */
  isUnseen: boolean;
  /** Media is here and was not shown for seconds: none of it, or no more of it. */
  fault: "no_picture" | "frozen" | null;
}

export class Progress {
  #lastMs: number | null = null;
  #timeS = 0;
  #frames: number | null = null;
  /** For how long the element's clock has not moved. */
  clockStillMs = 0;
  /** For how long of that media was here to be shown. */
  heldStillMs = 0;
  /**
   * For how long no new frame was shown, but for a stall that began with a picture; 0 where frames
   * cannot be counted.
   */
  pictureStillMs = 0;

  reset(): void {
    this.#lastMs = null;
    this.clockStillMs = this.heldStillMs = this.pictureStillMs = 0;
  }

  /** Take a reading; `frames` shown so far, null where there are none to see; is media here? */
  look(nowMs: number, timeS: number, frames: number | null, isHolding = true): void {
    const stepMs = this.#lastMs === null ? 0 : Math.min(nowMs - this.#lastMs, STEP_MAX_MS);
    const isSame = this.#lastMs !== null && timeS === this.#timeS;
    this.clockStillMs = isSame ? this.clockStillMs + stepMs : 0;
    const heldMs = this.heldStillMs + (isHolding ? stepMs : 0);
    this.heldStillMs = isSame ? heldMs : 0;
    const hasSeen = frames === null || frames !== this.#frames;
    const isStalled = isSame && !isHolding && this.pictureStillMs <= RAN_ON_MS;
    this.pictureStillMs = hasSeen ? 0 : this.pictureStillMs + (isStalled ? 0 : stepMs);
    [this.#lastMs, this.#timeS, this.#frames] = [nowMs, timeS, frames];
  }

  /**
   * True when media was here for `STILL_MAX_MS` and was not shown. Without media there is nothing to
   * show: that is the publisher's absence, or the line's. When it is here again, the picture has its
   * time anew.
   */
  isStill(isHolding: boolean): boolean {
    if (this.pictureStillMs - this.clockStillMs > RAN_ON_MS) {
      return this.pictureStillMs > STILL_MAX_MS;
    }
    return isHolding && this.heldStillMs > STILL_MAX_MS;
  }
}
