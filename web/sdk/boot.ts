/** Asks the server for what its own page starts with: what the stream is, costs and plays. */

import { linkFault, type LinkFault } from "./link_fault";
import { request } from "./request";
import { parseBoot, parseObject, type Boot } from "./types";

/**
 * - `boot`: with the page's monotonic ms when it came.
 * - `nothing`: no such stream, or closed by its operator.
 * - `away`: the server could not answer.
 * - `refused`: nobody may watch with this link, or it is not known what it would cost.
 */
export type BootOutcome =
  | { kind: "boot"; boot: Boot; atMs: number }
  | { kind: "nothing"; isClosed: boolean }
  | { kind: "away" }
  | { kind: "refused"; fault: LinkFault; detail: string };

/** Read the data of the watch page at `page`. */
export async function fetchBoot(page: string): Promise<BootOutcome> {
  const response = await request(page, "GET", "application/json");
  const atMs = performance.now();
  if (response === null || response.status >= 500 || response.status === 429) {
    return { kind: "away" };
  }
  const problem = parseObject(response.text);
  if (response.status === 404) {
    return { kind: "nothing", isClosed: problem?.["reason"] === "closed" };
  }
  const boot = response.ok ? parseBoot(response.text) : null;
  if (boot !== null) return { kind: "boot", boot, atMs };
  const detail = problem?.["detail"];
  const unknown = "The server does not say what this stream costs.";
  const fault = linkFault(problem?.["reason"]);
  return { kind: "refused", fault, detail: typeof detail === "string" ? detail : unknown };
}
