/** What a refused request means for the viewer. */

import { linkFault, type LinkFault } from "./link_fault";
import { parseObject } from "./types";

/**
 * - `purse` (the wire's word for the balance): it does not pay for another second. `limit`: a limit
 *   is reached. Nothing is served until that changes.
 * - `session`: another player took over; only a click takes it back.
 * - `token`: the link itself is not valid; `isExpired` when a renewal may help.
 * - `pace`: fetched faster than it can be watched; wait.
 * - `busy`: the server cannot answer now; wait.
 */
export interface Refusal {
  kind: "purse" | "limit" | "session" | "token" | "pace" | "busy";
  isExpired: boolean;
  /** With `token`: why. */
  fault: LinkFault;
  topUpUrl: string;
  /** What the operator's own server says of it, else "". */
  words: string;
  /** How long the server asked to wait, or null. */
  retryAfterMs: number | null;
}

/** Return what a status with its problem+json body means, or null when it is no refusal. */
export function readRefusal(
  status: number,
  body: string,
  retryAfter: string | null,
): Refusal | null {
  const problem = parseObject(body);
  const reason = typeof problem?.["reason"] === "string" ? problem["reason"] : "";
  const url = problem?.["top_up_url"];
  const detail = problem?.["detail"];
  const seconds = Number(retryAfter ?? Number.NaN);
  const refusal = (kind: Refusal["kind"], isExpired = false): Refusal => ({
    kind,
    isExpired,
    fault: linkFault(reason),
    topUpUrl: typeof url === "string" ? url : "",
    words: reason === "hook" && typeof detail === "string" ? detail.slice(0, 200) : "",
    // A server's mistake must not stop the page for a day.
    retryAfterMs: seconds >= 0 ? Math.min(seconds, 60) * 1000 : null,
  });
  switch (status) {
    case 401:
      return refusal("token", true);
    case 402:
      return refusal(reason === "limit" ? "limit" : "purse");
    case 403:
      return reason.includes("session") ? refusal("session") : refusal("token");
    case 429:
      return refusal("pace");
    case 503:
      return refusal("busy");
    default:
      return null;
  }
}
