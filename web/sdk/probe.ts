/** Asks the server whether there is something to play now. */

import type { Refusal } from "./refusal";
import { request, type HttpResponse } from "./request";
import { firstVariant } from "./playlist";
import { parseObject } from "./types";

/**
 * - `show`: playlists of a show that is under way.
 * - `nothing`: not begun, or over; closed by its operator.
 * - `away`: the server could not answer.
 * - `refused`: the link is not valid, or another player has the session.
 */
export type ProbeOutcome =
  | { kind: "show"; multivariant: string; uri: string; playlist: string }
  | { kind: "nothing"; isClosed: boolean }
  | { kind: "away" }
  | { kind: "refused"; refusal: Refusal };

/** Read the multivariant playlist at `url`, and the media playlist that it names first. */
export async function probeShow(url: string): Promise<ProbeOutcome> {
  const multivariant = await request(url, "GET");
  const uri = multivariant?.ok ? firstVariant(multivariant.text) : null;
  const playlist = uri === null ? null : await request(new URL(uri, url).href, "GET");
  const refusal = multivariant?.refusal ?? playlist?.refusal;
  if (refusal) return { kind: "refused", refusal };
  if (isAway(multivariant) || (uri !== null && isAway(playlist))) return { kind: "away" };
  const isOver = !playlist?.ok || playlist.text.includes("#EXT-X-ENDLIST");
  if (uri === null || !multivariant || isOver) {
    const isClosed = parseObject(multivariant?.text ?? "")?.["reason"] === "closed";
    return { kind: "nothing", isClosed };
  }
  return { kind: "show", multivariant: multivariant.text, uri, playlist: playlist.text };
}

function isAway(response: HttpResponse | null): boolean {
  return response === null || response.status >= 500 || response.status === 429;
}
