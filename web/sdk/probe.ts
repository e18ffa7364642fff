/** Asks whether there is something to play now. */

import type { Refusal } from "./refusal";
import { request, type Answer } from "./request";
import { firstVariant } from "./playlist";

/**
 * - `show`: playlists of a show that goes on.
 * - `nothing`: not begun, or over.
 * - `away`: the server could not answer.
 * - `refused`: the link is not good, or the session is another's.
 */
export type Found =
  | { kind: "show"; multivariant: string; uri: string; playlist: string }
  | { kind: "nothing" }
  | { kind: "away" }
  | { kind: "refused"; refusal: Refusal };

/** Read the multivariant playlist at `url`, and the media playlist that it names first. */
export async function findShow(url: string): Promise<Found> {
  const multivariant = await request(url, "GET");
  const uri = multivariant?.ok ? firstVariant(multivariant.text) : null;
  const playlist = uri === null ? null : await request(new URL(uri, url).href, "GET");
  const refusal = multivariant?.refusal ?? playlist?.refusal;
  if (refusal) return { kind: "refused", refusal };
  if (isAway(multivariant) || (uri !== null && isAway(playlist))) return { kind: "away" };
  const isOver = !playlist?.ok || playlist.text.includes("#EXT-X-ENDLIST");
  if (uri === null || !multivariant || isOver) return { kind: "nothing" };
  return { kind: "show", multivariant: multivariant.text, uri, playlist: playlist.text };
}

function isAway(answer: Answer | null): boolean {
  return answer === null || answer.status >= 500 || answer.status === 429;
}
