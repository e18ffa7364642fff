import { describe, expect, it } from "vitest";

import {
  allowLabel,
  autoText,
  belowText,
  chargeText,
  inFieldWords,
  type AutoTopUp,
} from "../me/auto_top_up";

const ASSET = { symbol: "UNIT", decimals: 6 };
const AUTO: AutoTopUp = {
  state: "on",
  why: "",
  provider: "stripe",
  threshold_planck: "2500000",
  amount: "1000",
  day_max: "2000",
  month_max: "5000",
  currency: "EUR",
  currency_decimals: 2,
  day: "1000",
  month: "3000",
  held_by: null,
  pay_url: null,
  charges: [],
  offers: [{ provider: "stripe", currency: "EUR", currency_decimals: 2, amount: null }],
};

const DEMO: AutoTopUp = {
  ...AUTO,
  provider: "demo",
  currency_decimals: 6,
  amount: "4000000",
  day_max: "8000000",
  month_max: "40000000",
  day: "0",
  month: "0",
};

describe("paying in automatically", () => {
  it("says what holds, in the currency that is charged", () => {
    expect(autoText(AUTO, ASSET)).toBe(
      "Below 2.5 UNIT, 10.00 EUR are paid in. Today 10.00 EUR of at most 20.00 EUR, this month 30.00 EUR of at most 50.00 EUR.",
    );
  });

  it("says of the demo what it gives, in the asset", () => {
    const demo = { ...DEMO, currency: "UNIT" };
    expect(autoText(demo, ASSET)).toContain("4 UNIT are paid in");
  });

  it("tells planck from cents where the asset has the currency's name", () => {
    expect(autoText(DEMO, { symbol: "EUR", decimals: 6 })).toBe(
      "Below 2.5 EUR, 4 EUR are paid in. Today 0 EUR of at most 8 EUR, this month 0 EUR of at most 40 EUR.",
    );
    const charge = { order: "5c", detail: "", created_ms: 0, state: "paid" } as const;
    const paid = { ...charge, amount: "4000000", currency: "EUR", currency_decimals: 6 };
    expect(chargeText(paid)).toContain(", 4 EUR, paid");
    expect(chargeText({ ...paid, amount: "400", currency_decimals: 2 })).toContain(", 4.00 EUR,");
    const ofOld = { ...paid, amount: "400", currency: "JPY", currency_decimals: null };
    expect(chargeText(ofOld)).toContain(", 400 minor units of JPY,");
  });

  it("says at the button how much a payment is that is always the same", () => {
    const demo = { provider: "demo", currency: "EUR", currency_decimals: 6, amount: "5000000" };
    expect(allowLabel("Allow it", demo)).toBe("Allow it: Get demo credit, 5 EUR each time");
    expect(allowLabel("Allow it", { ...demo, provider: "webhook", amount: null })).toBe(
      "Allow it: Pay in",
    );
  });

  it("refuses a most below one payment in amounts and the fields' own words", () => {
    const unit = { currency: "EUR", currency_decimals: 6 };
    expect(belowText(3_000_000, "One payment is", 5_000_000, unit)).toBe(
      "One payment is 5 EUR: write at least that.",
    );
    expect(belowText(5_000_000, "One payment is", 5_000_000, unit)).toBe("");
    expect(inFieldWords("month_max: 3 EUR is below day_max, which is 5 EUR; raise it")).toBe(
      '"At most a month": 3 EUR is below "At most a day", which is 5 EUR; raise it',
    );
  });

  it("says why it was turned off, and that it is off", () => {
    const off: AutoTopUp = { ...AUTO, state: "off" };
    expect(autoText(off, ASSET)).toBe("It is off.");
    expect(autoText({ ...off, why: "3 were declined" }, ASSET)).toBe(
      "It was turned off: 3 were declined.",
    );
  });
});
