/** Small requests beside the media: bounded in time, without credentials or referrer. */

import { readRefusal, type Refusal } from "./refusal";
import { parseObject } from "./types";

export interface HttpResponse {
  ok: boolean;
  status: number;
  text: string;
  refusal: Refusal | null;
}

const TIMEOUT_MS = 10_000;

/** Return the response, or null when none came. */
export async function request(
  url: string,
  method: "GET" | "POST",
  accept = "*/*",
): Promise<HttpResponse | null> {
  try {
    const response = await fetch(url, {
      method,
      headers: { Accept: accept },
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    const { ok, status } = response;
    // A busy server is an error to retry after, not a refusal of this viewer.
    const isRefusal = status === 401 || status === 402 || status === 403;
    const retryAfter = response.headers.get("Retry-After");
    return { ok, status, text, refusal: isRefusal ? readRefusal(status, text, retryAfter) : null };
  } catch {
    return null;
  }
}

/** Return one sentence for the viewer on why a request failed. */
export function failureOf(response: HttpResponse | null, fallback: string): string {
  if (response === null) return "The server could not be reached. Try again in a moment.";
  const detail = parseObject(response.text)?.["detail"];
  return typeof detail === "string" && detail.length < 300 ? detail : fallback;
}

/** Return an http(s) or page-relative URL as it is; "" for anything else, such as javascript:. */
export function safeUrl(url: string): string {
  if (url === "") return "";
  return /^(https?:\/\/|\/(?!\/)|[\w.-]+(\/|$))/i.test(url) ? url : "";
}
