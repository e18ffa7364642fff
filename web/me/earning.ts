/** What one earns as a payee of somebody's stream, on the account page, and asking to be paid. */

import { formatShort, formatTime } from "../sdk/money";
import type { Asset } from "./api";
import { day, el, section } from "./dom";

/** What one earned with a stream; amounts are decimal strings of planck. */
export interface Share {
  stream: string;
  title: string;
  account: string;
  /** Parts in a million of what viewers pay, as they are now. */
  ppm: number;
  /** The next part that is another than now, and from when. */
  to_come: { ppm: number; from_ms: number } | null;
  pending: string;
  maturing: string;
  available: string;
  debt: string;
  asked: string;
  paid_out: string;
}

export interface EarningActs {
  askToBePaid: (share: Share, payee: string, bankAccount: string) => void;
}

/** Return what there is of a share, in words; what is nothing is left out. */
export function shareText(share: Share, { symbol, decimals }: Asset): string {
  const amount = (planck: string): string => `${formatShort(BigInt(planck), decimals)} ${symbol}`;
  const states: [string, string][] = [
    [share.available, "available"],
    [(BigInt(share.pending) + BigInt(share.maturing)).toString(), "to come"],
    [share.asked, "asked for"],
    [share.paid_out, "paid out"],
    [share.debt, "owed, taken from what comes next"],
  ];
  const there = states
    .filter(([planck]) => planck !== "0")
    .map(([planck, word]) => `${amount(planck)} ${word}`);
  return `${share.title}: ${partText(share)}. ${there.length > 0 ? there.join(", ") : "Nothing yet"}.`;
}

/** Return one's part now and the one to come, in words. */
function partText({ ppm, to_come: next }: Share): string {
  const now = ppm === 0 ? "" : `${ppm / 10_000}% of what viewers pay`;
  if (next === null) return now === "" ? "no part any more" : now;
  const then = next.ppm === 0 ? "no part" : `${next.ppm / 10_000}%`;
  const from = `${then} ${now === "" ? "of what viewers pay " : ""}from ${moment(next.from_ms)}`;
  return now === "" ? from : `${now}, ${from}`;
}

/** Return a time to come; today the clock's alone. */
function moment(ms: number): string {
  const isToday = day(ms) === day(Date.now());
  return isToday ? formatTime(ms) : `${day(ms)}, ${formatTime(ms)}`;
}

export function earning(shares: Share[], asset: Asset, acts: EarningActs): HTMLElement {
  const made = section("What you earn");
  for (const share of shares) {
    made.append(el("p", {}, shareText(share, asset)));
    if (share.available !== "0" && share.asked === "0") made.append(paid(share, acts));
  }
  return made;
}

function paid(share: Share, acts: EarningActs): HTMLElement {
  const payee = el("input", { name: "payee", required: true, maxLength: 70, autocomplete: "name" });
  const account = el("input", { name: "bank-account", required: true, maxLength: 64 });
  return el(
    "form",
    {
      className: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        acts.askToBePaid(share, payee.value, account.value);
      },
    },
    el("label", {}, "Name on the bank account", payee),
    el("label", {}, "Bank account (IBAN)", account),
    el("button", { type: "submit", className: "button quiet" }, `Be paid for ${share.title}`),
  );
}
