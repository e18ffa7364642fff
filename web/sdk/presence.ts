/**
 * Whether anybody watches: what a priced page may fetch while it is hidden, and for how long without
 * a sign of life. Pure rules, and a shell that listens to the document.
 */

/** Why a page stopped by itself: nobody could see or hear it, or nobody has touched it for long. */
export type Absence = "hidden" | "idle";

/** Hidden without sound: nobody sees or hears what is paid for. Long enough to look something up. */
export const HIDDEN_MAX_MS = 60_000;
/** Hidden with sound, as a radio. */
export const UNSEEN_MAX_MS = 2 * 3_600_000;
/** Before the viewer's eyes, untouched: longer than a film. */
export const IDLE_MAX_MS = 4 * 3_600_000;

export interface Watching {
  /** Not on the screen, nor in a small window of its own (picture-in-picture). */
  isHidden: boolean;
  isMuted: boolean;
  /** Since it has been hidden without a break, ms; 0 while it is seen. */
  hiddenMs: number;
  /** Since the last key, tap or movement, ms. */
  idleMs: number;
}

/** Return why a priced picture should stop now, or null. */
export function absence(now: Watching): Absence | null {
  if (now.isHidden && now.isMuted && now.hiddenMs > HIDDEN_MAX_MS) return "hidden";
  return now.idleMs > (now.isHidden ? UNSEEN_MAX_MS : IDLE_MAX_MS) ? "idle" : null;
}

const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;

/** Listens for signs of life. */
export class Presence {
  readonly #video: HTMLVideoElement;
  #touchedMs: number;
  #hiddenSinceMs: number | null = null;

  constructor(video: HTMLVideoElement, nowMs: number) {
    this.#video = video;
    this.#touchedMs = nowMs;
  }

  listen(): void {
    for (const sign of SIGNS) addEventListener(sign, this.#touched, { passive: true });
  }

  destroy(): void {
    for (const sign of SIGNS) removeEventListener(sign, this.#touched);
  }

  /** Return why a priced picture should stop now, or null. */
  check(nowMs: number): Absence | null {
    const isHidden = document.hidden && document.pictureInPictureElement !== this.#video;
    this.#hiddenSinceMs = isHidden ? (this.#hiddenSinceMs ?? nowMs) : null;
    return absence({
      isHidden,
      isMuted: this.#video.muted,
      hiddenMs: nowMs - (this.#hiddenSinceMs ?? nowMs),
      idleMs: nowMs - this.#touchedMs,
    });
  }

  /** A click counts even where the page's own code made it: the viewer asked to go on. */
  readonly #touched = (): void => {
    this.#touchedMs = performance.now();
  };

  touch(): void {
    this.#touched();
  }
}
