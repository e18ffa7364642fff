/**
 * Whether anybody watches: what a priced page may fetch while it is hidden, and for how long without
 * a sign of life. Pure rules, and a shell that listens to the document.
 */

import { request } from "./request";
import { parseObject } from "./types";

/** Why a page stopped by itself: nobody could see or hear it, or nobody has touched it for long. */
export type Absence = "hidden" | "idle";

/** Hidden with sound, as a radio, it is asked sooner. */
export const UNSEEN_MAX_MS = 2 * 3_600_000;

/** When a priced page stops by itself, ms; Infinity is never. */
export interface Patience {
  /** Hidden without sound: nobody sees or hears what is paid for. */
  hiddenMs: number;
  /** Untouched for longer, it asks whether anybody watches. */
  askMs: number;
  /** So long the question waits for a sign of life. */
  answerMs: number;
}

/** What holds where the viewer set nothing (mediaserver/people/player_settings.py). */
export const PATIENCE: Patience = { hiddenMs: 60_000, askMs: 4 * 3_600_000, answerMs: 60_000 };

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
export function absence(now: Watching, patience: Patience): Absence | null {
  if (now.isHidden && now.isMuted && now.hiddenMs > patience.hiddenMs) return "hidden";
  return now.idleMs > askMs(now, patience) + patience.answerMs ? "idle" : null;
}

/** Return whether to ask for a sign of life now. */
export function isAsking(now: Watching, patience: Patience): boolean {
  return now.idleMs > askMs(now, patience);
}

function askMs({ isHidden }: Watching, patience: Patience): number {
  return isHidden && patience.askMs !== Infinity
    ? Math.min(patience.askMs, UNSEEN_MAX_MS)
    : patience.askMs;
}

/** Return what the server tells of the viewer's settings, null when it tells none. */
export function parsePatience(text: string): Patience | null {
  const answer = parseObject(text);
  const ms = (name: string): number => {
    const seconds = answer?.[name];
    if (typeof seconds !== "number" || !(seconds >= 0)) return Number.NaN;
    return seconds === 0 ? Infinity : seconds * 1000;
  };
  const read = {
    hiddenMs: ms("hidden_stop_s"),
    askMs: ms("ask_after_s"),
    answerMs: ms("answer_s"),
  };
  return Object.values(read).some(Number.isNaN) ? null : read;
}

const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"] as const;

/** A change of the settings is known to pages that are open by then. */
const ASK_AGAIN_MS = 600_000;

/** Listens for signs of life, and asks the server once in a while how long to go without. */
export class Presence {
  readonly #video: HTMLVideoElement;
  /** Address of the viewer's settings; empty: this page has none. */
  readonly #settings: () => string;
  #patience = PATIENCE;
  #touchedMs: number;
  #askedMs = Number.NEGATIVE_INFINITY;
  #hiddenSinceMs: number | null = null;
  /** Whether a sign of life is asked for. */
  isAsking = false;

  constructor(video: HTMLVideoElement, nowMs: number, settings: () => string) {
    this.#video = video;
    this.#touchedMs = nowMs;
    this.#settings = settings;
  }

  listen(): void {
    for (const sign of SIGNS) addEventListener(sign, this.#touched, { passive: true });
  }

  destroy(): void {
    for (const sign of SIGNS) removeEventListener(sign, this.#touched);
  }

  /** Return why a priced picture should stop now, or null. */
  check(nowMs: number, isLive: boolean): Absence | null {
    if (isLive && nowMs - this.#askedMs > ASK_AGAIN_MS) void this.#ask(nowMs);
    const isHidden = document.hidden && document.pictureInPictureElement !== this.#video;
    this.#hiddenSinceMs = isHidden ? (this.#hiddenSinceMs ?? nowMs) : null;
    const now = {
      isHidden,
      isMuted: this.#video.muted,
      hiddenMs: nowMs - (this.#hiddenSinceMs ?? nowMs),
      idleMs: nowMs - this.#touchedMs,
    };
    this.isAsking = isAsking(now, this.#patience);
    return absence(now, this.#patience);
  }

  async #ask(nowMs: number): Promise<void> {
    this.#askedMs = nowMs;
    const url = this.#settings();
    if (url === "") return;
    const response = await request(url, "GET");
    if (response?.ok) this.#patience = parsePatience(response.text) ?? this.#patience;
  }

  /** A click counts even where the page's own code made it: the viewer asked to go on. */
  readonly #touched = (): void => {
    this.#touchedMs = performance.now();
  };

  touch(): void {
    this.#touched();
  }
}
