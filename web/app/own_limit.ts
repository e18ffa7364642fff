/**
 * What this tab's player may spend in all, as it was chosen where one came in: the server stops it
 * there, the page shows it.
 */

import { parsePlanck } from "../sdk/types";

const key = (stream: string): string => `vilokanam:limit:${stream}`;

/** Return the limit of this tab's player, planck, or null. */
export function rememberedLimit(stream: string): bigint | null {
  try {
    const planck = parsePlanck(sessionStorage.getItem(key(stream)));
    return planck === 0n ? null : planck;
  } catch {
    return null; // A browser that keeps nothing does not show it.
  }
}

export function rememberLimit(stream: string, planck: string): void {
  try {
    sessionStorage.setItem(key(stream), planck);
  } catch {
    // As above.
  }
}

/** Return how many seconds more a limit pays for at a price, of those that the balance pays for. */
export function secondsWithin(
  limit: bigint | null,
  spent: bigint,
  price: bigint,
  secondsLeft: number | null,
): number | null {
  if (limit === null || price === 0n) return secondsLeft;
  const left = spent < limit ? Number((limit - spent) / price) : 0;
  return secondsLeft === null ? left : Math.min(secondsLeft, left);
}
