/** What the viewer agreed to pay for a stream, remembered by this browser. */

import type { Agreement } from "../sdk/consent";
import { parseObject, parsePlanck } from "../sdk/types";

const key = (stream: string): string => `vilokanam:agreed:${stream}`;

/** Return what was agreed to for a stream, or null. */
export function rememberedAgreement(stream: string): Agreement | null {
  try {
    const data = parseObject(localStorage.getItem(key(stream)) ?? "");
    const pricePlanck = parsePlanck(data?.["price"]);
    if (pricePlanck === null) return null;
    return { pricePlanck, limitPlanck: parsePlanck(data?.["limit"]) };
  } catch {
    return null; // A browser that keeps nothing: it is asked each time.
  }
}

export function rememberAgreement(stream: string, price: string, limit: string | null): void {
  try {
    localStorage.setItem(key(stream), JSON.stringify({ price, limit }));
  } catch {
    // As above.
  }
}
