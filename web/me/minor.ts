/** Amounts that are paid in or out, as people write them: in whole units of a currency. */

import { formatExact, formatPlanck, formatShort, parseAmount } from "../sdk/money";

/** The unit of an amount: how it is called, and how many of its digits are behind the point. */
export interface Unit {
  currency: string;
  currency_decimals: number;
}

/** What may be paid at once, in minor units. */
export interface Payable extends Unit {
  amount_min: number;
  amount_max: number;
}

/** Return an amount of minor units as it is written: `5.00 EUR`. */
export function moneyText(minor: number, { currency, currency_decimals: digits }: Unit): string {
  return `${formatPlanck(BigInt(minor), digits, digits)} ${currency}`;
}

/** Decimal places that currencies have at most: what has more is an asset. */
const CURRENCY_DIGITS = 4;

/**
 * Return an amount as the API tells it, a decimal string with its own unit: `5.00 EUR`, of an asset
 * `5 EUR`. Without decimals, which an amount of a currency of old has not, it stays as it is.
 */
export function amountText(
  minor: string,
  { currency, currency_decimals: digits }: { currency: string; currency_decimals: number | null },
): string {
  if (digits === null) return `${minor} minor units of ${currency}`;
  if (digits > CURRENCY_DIGITS) return `${formatShort(BigInt(minor), digits)} ${currency}`;
  return `${formatPlanck(BigInt(minor), digits, digits)} ${currency}`;
}

/** Return what a field begins with: digits and a point that `minorOf` reads again. */
export function fieldText(minor: string | number, digits: number): string {
  return formatExact(BigInt(minor), digits).replace(/\s/g, "");
}

/** Return the minor units of an amount that somebody wrote, or what is wrong with it. */
export function minorOf(text: string, payable: Payable): number | string {
  const { currency_decimals: digits, amount_min: least, amount_max: most } = payable;
  const minor = parseAmount(text, digits);
  if (minor === null) {
    const behind =
      digits === 0 ? "in whole numbers" : `with at most ${digits} digits behind the point`;
    return `Write an amount such as ${moneyText(least, payable)}, ${behind}.`;
  }
  if (minor < BigInt(least) || minor > BigInt(most)) {
    return `Write an amount from ${moneyText(least, payable)} to ${moneyText(most, payable)}.`;
  }
  return Number(minor);
}

/** Return what a button of a provider says. */
export function payLabel(provider: string): string {
  const names: Record<string, string> = { demo: "Get demo credit", stripe: "Pay by card (Stripe)" };
  return names[provider] ?? "Pay in";
}

/** Return the minor units that a field holds; null after telling there what is wrong. */
export function minorIn(input: HTMLInputElement, payable: Payable): number | null {
  const minor = minorOf(input.value, payable);
  input.setCustomValidity(typeof minor === "string" ? minor : "");
  if (typeof minor === "number") return minor;
  input.reportValidity();
  return null;
}
