/** Paying in by itself when the balance is low: what one allows, what it did, and its end. */

import { formatShort, parseAmount } from "../sdk/money";
import type { Asset } from "./api";
import { button, day, el, section } from "./dom";
import { amountText, fieldText, minorOf, payLabel, type Payable, type Unit } from "./minor";

/** An amount's unit, as the API tells it; null: its currency is no longer configured. */
interface Told {
  currency: string;
  currency_decimals: number | null;
}

/** A provider that takes automatic payments, the unit of its amounts, and what one is if fixed. */
export interface AutoOffer extends Unit {
  provider: string;
  amount: string | null;
}

/** What is allowed; amounts are decimal strings in its unit. */
export interface AutoTopUp extends Told {
  state: "off" | "setting-up" | "on";
  why: string;
  provider: string | null;
  threshold_planck: string;
  amount: string;
  day_max: string;
  month_max: string;
  day: string;
  month: string;
  held_by: "day" | "month" | null;
  pay_url: string | null;
  charges: AutoCharge[];
  offers: AutoOffer[];
}

export interface AutoCharge extends Told {
  order: string;
  amount: string;
  state: "asked" | "sent" | "paid" | "declined" | "lost";
  detail: string;
  created_ms: number;
}

/** What is asked to be allowed. */
export interface AutoWanted {
  provider: string;
  threshold_planck: string;
  day_max: number;
  month_max: number;
  amount?: number;
}

export interface AutoActs {
  /** Return why it was refused, in the server's words; empty: it is kept. */
  allowAuto: (wanted: AutoWanted) => Promise<string>;
  endAuto: () => void;
}

export const WORDS = {
  title: "Pay in automatically",
  what: "While you watch, a balance that falls below your line is filled by one payment. If it is declined or slow, the picture stops as it would without it.",
  threshold: "When my balance is below",
  amount: "Pay in",
  dayMax: "At most a day",
  monthMax: "At most a month",
  allow: "Allow it",
  change: "Change it",
  each: "One payment is",
  end: "Turn it off",
  goOn: "Go on to the payment that begins it",
  settingUp: "It begins with a payment at the provider's page, which keeps your card for it.",
  dayHeld: "Your most for today is reached: nothing more is paid in before midnight UTC.",
  monthHeld: "Your most for this month is reached: nothing more is paid in before the next one.",
  states: {
    asked: "under way",
    sent: "under way",
    paid: "paid",
    declined: "declined",
    lost: "without an answer",
  },
} as const;

/** Return what holds now, in one sentence. */
export function autoText(auto: AutoTopUp, asset: Asset): string {
  if (auto.state === "setting-up") return WORDS.settingUp;
  if (auto.state === "off") {
    return auto.why === "" ? "It is off." : `It was turned off: ${auto.why}.`;
  }
  const line = `${formatShort(BigInt(auto.threshold_planck), asset.decimals)} ${asset.symbol}`;
  const money = (minor: string): string => amountText(minor, auto);
  return `Below ${line}, ${money(auto.amount)} are paid in. Today ${money(auto.day)} of at most ${money(auto.day_max)}, this month ${money(auto.month)} of at most ${money(auto.month_max)}.`;
}

export function autoTopUp(
  auto: AutoTopUp,
  payable: Payable,
  asset: Asset,
  acts: AutoActs,
): HTMLElement {
  const made = section(
    WORDS.title,
    el("p", {}, WORDS.what),
    el("p", { id: "auto-top-up-state" }, autoText(auto, asset)),
  );
  if (auto.held_by !== null) {
    const words = auto.held_by === "day" ? WORDS.dayHeld : WORDS.monthHeld;
    made.append(el("p", { className: "hint" }, words));
  }
  if (auto.pay_url !== null) made.append(el("a", { href: auto.pay_url }, WORDS.goOn));
  for (const offer of auto.offers) made.append(form(offer, auto, payable, asset, acts));
  if (auto.state !== "off") made.append(button(WORDS.end, "quiet", acts.endAuto));
  if (auto.charges.length > 0) {
    made.append(el("ul", {}, ...auto.charges.map(charge)));
  }
  return made;
}

function charge(item: AutoCharge): HTMLElement {
  return el("li", {}, chargeText(item));
}

/** Return when a payment was asked for, how much it is, and what became of it. */
export function chargeText(item: AutoCharge): string {
  const why = item.detail === "" ? "" : `: ${item.detail}`;
  const amount = amountText(item.amount, item);
  return `${day(item.created_ms)}, ${amount}, ${WORDS.states[item.state]}${why}`;
}

function form(
  offer: AutoOffer,
  auto: AutoTopUp,
  payable: Payable,
  asset: Asset,
  acts: AutoActs,
): HTMLElement {
  const { provider, currency, currency_decimals: digits } = offer;
  const isFixed = offer.amount !== null;
  const money: Payable = { ...payable, currency, currency_decimals: digits };
  const isMine = auto.provider === provider && auto.state !== "off";
  const shown = (minor: string, otherwise: number): string =>
    fieldText(isMine ? minor : otherwise, digits);
  const first = Number(offer.amount ?? payable.amount_min);
  const line = isMine ? fieldText(auto.threshold_planck, asset.decimals) : "";
  const threshold = field("auto-threshold", line);
  const amount = field("auto-amount", shown(auto.amount, first));
  const dayMax = field("auto-day", shown(auto.day_max, 2 * first));
  const monthMax = field("auto-month", shown(auto.month_max, 10 * first));
  const most: Payable = { ...money, amount_min: 1, amount_max: MOST };
  const made = el(
    "form",
    { className: "fields", id: `auto-top-up-${provider}` },
    el("label", {}, `${WORDS.threshold}, ${asset.symbol}`, threshold),
    ...(isFixed ? [] : [el("label", {}, `${WORDS.amount}, ${money.currency}`, amount)]),
    el("label", {}, `${WORDS.dayMax}, ${money.currency}`, dayMax),
    el("label", {}, `${WORDS.monthMax}, ${money.currency}`, monthMax),
    el(
      "button",
      { type: "submit", className: "button quiet" },
      allowLabel(isMine ? WORDS.change : WORDS.allow, offer),
    ),
  );
  const refusal = el("p", { className: "error", hidden: true, role: "alert" });
  made.append(refusal);
  made.onsubmit = (event) => {
    event.preventDefault();
    const below = parseAmount(threshold.value, asset.decimals);
    const isLine = below !== null && below > 0n;
    tell(threshold, isLine ? "" : "Write an amount above 0.");
    const each = isFixed ? 0 : checked(amount, money);
    const aDay = checked(dayMax, most);
    const aMonth = checked(monthMax, most);
    if (!isLine || each === null || aDay === null || aMonth === null) return;
    const dayFault = belowText(aDay, WORDS.each, isFixed ? first : each, offer);
    const monthFault = belowText(aMonth, WORDS.dayMax, aDay, offer);
    tell(dayMax, dayFault);
    if (dayFault === "") tell(monthMax, monthFault);
    if (dayFault !== "" || monthFault !== "") return;
    const wanted = {
      provider,
      threshold_planck: String(below),
      day_max: aDay,
      month_max: aMonth,
      ...(!isFixed && { amount: each }),
    };
    refusal.hidden = true;
    void acts.allowAuto(wanted).then((words) => {
      refusal.textContent = inFieldWords(words);
      refusal.hidden = words === "";
    });
  };
  return made;
}

/** Return what the button says; of a payment that is always the same also how much it is. */
export function allowLabel(verb: string, offer: AutoOffer): string {
  const label = `${verb}: ${payLabel(offer.provider)}`;
  return offer.amount === null ? label : `${label}, ${amountText(offer.amount, offer)} each time`;
}

/** Return why a most is too little, empty where it is enough. */
export function belowText(most: number, name: string, least: number, unit: Unit): string {
  if (most >= least) return "";
  return `${name} ${amountText(String(least), unit)}: write at least that.`;
}

/** Return a refusal with the names that the form gives its fields. */
export function inFieldWords(words: string): string {
  const names: Record<string, string> = {
    threshold_planck: WORDS.threshold,
    day_max: WORDS.dayMax,
    month_max: WORDS.monthMax,
    amount: WORDS.amount,
  };
  return words.replace(
    /\b(threshold_planck|day_max|month_max|amount)\b/g,
    (name) => `"${names[name] ?? name}"`,
  );
}

const MOST = Number.MAX_SAFE_INTEGER;

function checked(input: HTMLInputElement, payable: Payable): number | null {
  const minor = minorOf(input.value, payable);
  tell(input, typeof minor === "string" ? minor : "");
  return typeof minor === "number" ? minor : null;
}

function tell(input: HTMLInputElement, fault: string): void {
  input.setCustomValidity(fault);
  if (fault !== "") input.reportValidity();
}

function field(name: string, value: string): HTMLInputElement {
  const input = el("input", { name, inputMode: "decimal", autocomplete: "off", value });
  input.addEventListener("input", () => input.setCustomValidity(""));
  return input;
}
