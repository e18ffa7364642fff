/** Amounts and times as text: planck exact, in bigint, never a float. */

/** Fraction digits shown at most: enough for any real price, few enough for the panel. */
const DIGITS_MAX = 10;

/**
 * Return how many fraction digits show `price` exactly, so that each second moves the last digit.
 * At least 2, at most the asset's decimals and 10.
 */
export function digitsFor(price: bigint, decimals: number): number {
  let digits = decimals;
  let rest = price < 0n ? -price : price;
  while (digits > 0 && rest % 10n === 0n) {
    rest /= 10n;
    digits -= 1;
  }
  return Math.min(decimals, DIGITS_MAX, Math.max(2, digits));
}

/** Return `planck` in whole tokens with exactly `digits` fraction digits, rounded towards zero. */
export function formatPlanck(planck: bigint, decimals: number, digits: number): string {
  const isNegative = planck < 0n;
  const text = (isNegative ? -planck : planck).toString().padStart(decimals + 1, "0");
  const whole = text.slice(0, text.length - decimals).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const fraction = text
    .slice(text.length - decimals)
    .slice(0, digits)
    .padEnd(digits, "0");
  return (isNegative ? "\u2212" : "") + whole + (digits > 0 ? `.${fraction}` : "");
}

/** Return `planck` in whole tokens without trailing zeros. */
export function formatShort(planck: bigint, decimals: number): string {
  return withoutZeros(formatPlanck(planck, decimals, Math.min(decimals, DIGITS_MAX)));
}

/** Return `planck` in whole tokens to its last digit: what `parseAmount` reads again. */
export function formatExact(planck: bigint, decimals: number): string {
  return withoutZeros(formatPlanck(planck, decimals, decimals));
}

function withoutZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/**
 * Return the planck of an amount that somebody wrote in whole tokens, such as `0.5` or `1,25`;
 * null when it is no such amount, or finer than a planck.
 */
export function parseAmount(text: string, decimals: number): bigint | null {
  const match = /^(\d{0,30})(?:[.,](\d*))?$/.exec(text.replace(/[\s\u202f]/g, ""));
  const [whole, fraction] = [match?.[1] ?? "", match?.[2] ?? ""];
  if (match === null || whole + fraction === "" || fraction.length > decimals) return null;
  return BigInt(whole + fraction.padEnd(decimals, "0"));
}

/** Return seconds as a clock, `4:05` or `1:02:03`. */
export function formatClock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const minutes = Math.floor(whole / 60);
  const tail = String(whole % 60).padStart(2, "0");
  if (minutes < 60) return `${minutes}:${tail}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
}

/** Return a moment (Unix ms) as the viewer's clock shows it, `14:05:30`. */
export function formatTime(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

/** Return seconds in words, to two units: `1 h 2 min`, `4 min 5 s`, `9 s`. */
export function formatSpan(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const units: [number, string][] = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return units
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count}\u00a0${unit}`)
    .join(" ");
}
