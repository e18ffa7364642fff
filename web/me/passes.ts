/** Passes that one bought, on the account page: what each cost, and what of a show it covers. */

import { formatShort, formatSpan } from "../sdk/money";
import type { Asset, OwnPass, WatchedShow } from "./api";
import { day, el, section } from "./dom";

/** Return what a pass is for, when it was bought and what it cost, in words. */
export function passText(pass: OwnPass, { symbol, decimals }: Asset): string {
  const what = pass.until_ms === null ? "one show" : `until ${day(pass.until_ms)}`;
  const cost = `${formatShort(BigInt(pass.planck), decimals)} ${symbol}`;
  const back = pass.refunded_ms === null ? "" : `, which came back on ${day(pass.refunded_ms)}`;
  return `${pass.stream}: ${what}, bought on ${day(pass.created_ms)} for ${cost}${back}`;
}

export function passes(list: OwnPass[], hasMore: boolean, asset: Asset): HTMLElement[] {
  if (list.length === 0) return [];
  const made = section(
    "Your passes",
    el("ul", {}, ...list.map((pass) => el("li", {}, passText(pass, asset)))),
  );
  if (hasMore) made.append(el("p", { className: "hint" }, "Those before are not shown here."));
  return [made];
}

/**
 * Return why seconds of a show cost nothing; empty: they all did cost. A pass that holds for all
 * that was watched is named; what one in between covered, and what was free, is not told apart.
 */
export function coveredText(item: WatchedShow, list: OwnPass[]): string {
  if (item.covered_seconds === 0) return "";
  const [first, end] = [item.from_ms, item.to_ms];
  const own = list.filter((pass) => pass.stream === item.stream && pass.refunded_ms === null);
  const until = (pass: OwnPass): number => {
    if (pass.until_ms !== null) return pass.until_ms;
    return pass.show !== null && pass.show === item.show ? Infinity : 0;
  };
  const from = (pass: OwnPass): number => pass.from_tick * 1000;
  const span = formatSpan(item.covered_seconds);
  if (own.some((pass) => from(pass) <= first && end <= until(pass))) {
    return `, ${span} covered by your pass`;
  }
  const isPartly = own.some((pass) => from(pass) < end && first < until(pass));
  return isPartly ? `, ${span} free or covered by your pass` : `, ${span} free`;
}
