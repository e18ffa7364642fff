/** What the picture is given: an element, a store, the server's clock, and who decides about money. */

import type { Paying } from "./paying";
import type { EarlyMap } from "./prefetch";
import type { Refusal } from "./refusal";
import type { SnapshotStore } from "./snapshot";

export interface PlaybackOptions {
  video: HTMLVideoElement;
  early: EarlyMap;
  store: SnapshotStore;
  /** Absolute URL of a path relative to the watch page, with the current token. */
  at: (relative: string) => string;
  /** The server's clock, Unix ms. */
  nowMs: () => number;
  /** The player has been halted; nothing is asked for until this decides what follows. */
  refused: (refusal: Refusal) => void;
  /** Asked before each fetch of media; false: it is not made, and `wake` or `playOut` follows. */
  mayFetch: (url: string) => boolean | Promise<boolean>;
  paying: Pick<Paying, "question" | "opened" | "seen">;
}

/** States that are entered only after the paid buffer has been played. */
export type Stop = "asking" | "stopped" | "kicked" | "denied";
