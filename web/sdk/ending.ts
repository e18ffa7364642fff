/** Why a session ended that no click takes back, in the server's words. */

import { failureOf, request } from "./request";
import type { SnapshotStore } from "./snapshot";

/**
 * Put the words into the snapshot; none for a session that another player took over, which a click
 * takes back. `settingsUrl` is answered for as long as the session may go on.
 */
export async function tellEnd(settingsUrl: string, store: SnapshotStore): Promise<void> {
  const response = await request(settingsUrl, "GET");
  if (response?.status !== 403) return;
  const words = failureOf(response, "this player was ended");
  const end = /[.!?]$/.test(words) ? "" : ".";
  store.set({ ended: `${words.charAt(0).toUpperCase()}${words.slice(1)}${end}` });
}
