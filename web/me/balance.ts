/** One's balance on the account page: what is there, paying in, and taking out again. */

import { formatShort } from "../sdk/money";
import type { Asset } from "./api";
import { autoTopUp, type AutoActs, type AutoTopUp } from "./auto_top_up";
import { button, el, section } from "./dom";
import { fieldText, minorIn, moneyText, payLabel, type Payable } from "./minor";

/** What may be paid in, and by whom. */
export interface TopUps extends Payable {
  providers: string[];
}

/** What may be taken out; amounts are decimal strings of minor units. */
export interface Withdrawals {
  currency: string;
  currency_decimals: number;
  amount_max: string;
  withdrawals: { withdrawal: string; amount: string; created_ms: number; state: string }[];
}

export interface Money {
  balance: string | null;
  debt: string | null;
  topUps: TopUps;
  withdrawals: Withdrawals;
  auto: AutoTopUp;
  /** The stream that sent one here to pay in; empty: none did. */
  stream: string;
}

export interface MoneyActs extends AutoActs {
  payIn: (provider: string, amount: number | null) => void;
  takeOut: (amount: number) => void;
}

/** Return what there is, in one sentence, and what of it is owed. */
export function balanceText({ balance, debt }: Money, { symbol, decimals }: Asset): string {
  const amount = (planck: string): string => `${formatShort(BigInt(planck), decimals)} ${symbol}`;
  const owed = debt ?? "0";
  const there = `Your balance is ${amount(balance ?? "0")}.`;
  if (owed === "0") return there;
  return `${there} You owe ${amount(owed)} for what you watched: what you pay in next pays it first.`;
}

export function balance(money: Money, asset: Asset, acts: MoneyActs): HTMLElement {
  const made = section("Your balance", el("p", {}, balanceText(money, asset)));
  const { providers } = money.topUps;
  if (providers.includes("demo")) {
    made.append(button(payLabel("demo"), "quiet", () => acts.payIn("demo", null)));
  }
  const sellers = providers.filter((provider) => provider !== "demo");
  if (sellers.length > 0) made.append(payIn(money, sellers, acts));
  if (money.stream !== "") {
    // A link that somebody else gave pays from another balance: this way in pays from this one.
    const href = `/${money.stream}/#watch`;
    made.append(el("p", {}, "Paid? ", el("a", { href }, `Watch ${money.stream}`)));
  }
  if (money.auto.offers.length > 0 || money.auto.state !== "off") {
    made.append(autoTopUp(money.auto, money.topUps, asset, acts));
  }
  if (money.withdrawals.amount_max !== "0") made.append(takeOut(money.withdrawals, acts));
  return made;
}

function payIn(money: Money, sellers: string[], acts: MoneyActs): HTMLElement {
  const input = amountField("pay-in", money.topUps, money.topUps.amount_min);
  const hint = `From ${moneyText(money.topUps.amount_min, money.topUps)} to ${moneyText(money.topUps.amount_max, money.topUps)}.`;
  const made = el(
    "form",
    { id: "pay-in", className: "fields" },
    el("label", {}, `Pay in, ${money.topUps.currency}`, input, el("small", {}, hint)),
  );
  for (const provider of sellers) {
    const press = el("button", { type: "submit", className: "button primary" }, payLabel(provider));
    press.value = provider;
    made.append(press);
  }
  made.onsubmit = (event) => {
    event.preventDefault();
    const amount = minorIn(input, money.topUps);
    const chosen = (event.submitter as HTMLButtonElement | null)?.value ?? sellers[0] ?? "";
    if (amount !== null) acts.payIn(chosen, amount);
  };
  return made;
}

function takeOut(known: Withdrawals, acts: MoneyActs): HTMLElement {
  const payable = { ...known, amount_min: 1, amount_max: Number(known.amount_max) };
  const input = amountField("take-out", payable, payable.amount_max);
  const hint = `Up to ${moneyText(payable.amount_max, payable)}, back to where it was paid from.`;
  return el(
    "form",
    {
      id: "take-out",
      className: "fields",
      onsubmit: (event) => {
        event.preventDefault();
        const amount = minorIn(input, payable);
        if (amount !== null) acts.takeOut(amount);
      },
    },
    el("label", {}, `Take out, ${known.currency}`, input, el("small", {}, hint)),
    el("button", { type: "submit", className: "button quiet" }, "Take out"),
  );
}

function amountField(name: string, payable: Payable, minor: number): HTMLInputElement {
  const value = fieldText(minor, payable.currency_decimals);
  const input = el("input", { name, inputMode: "decimal", autocomplete: "off", value });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return input;
}
