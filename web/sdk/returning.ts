/** Whether a show that is not there may come back: its server was away of late. */

import type { Snapshot } from "./snapshot";

/**
 * After the server was away a show may go on for this long before its publisher is back: until then
 * nobody knows that it has ended (`ingest.reconnect_wait_s`).
 */
const RETURN_MS = 60_000;

export class Returning {
  #awayMs = Number.NEGATIVE_INFINITY;

  /** The server could not answer just now. */
  away(nowMs: number): void {
    this.#awayMs = nowMs;
  }

  /** True while a show that was watched may come back from a restart of the server. */
  isAwaited(nowMs: number, shown: Pick<Snapshot, "state" | "secondsWatched">): boolean {
    if (shown.secondsWatched === 0) return false;
    const isRecent = nowMs - this.#awayMs < RETURN_MS;
    return isRecent && ["loading", "waiting", "reconnecting"].includes(shown.state);
  }
}
