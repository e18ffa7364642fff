import { describe, expect, it } from "vitest";

import { autoText, type AutoTopUp } from "../me/auto_top_up";

const ASSET = { symbol: "UNIT", decimals: 6 };
const PAYABLE = { currency: "EUR", currency_decimals: 2, amount_min: 500, amount_max: 9000 };
const AUTO: AutoTopUp = {
  state: "on",
  why: "",
  provider: "stripe",
  threshold_planck: "2500000",
  amount: "1000",
  day_max: "2000",
  month_max: "5000",
  currency: "EUR",
  day: "1000",
  month: "3000",
  held_by: null,
  pay_url: null,
  charges: [],
  providers: ["stripe"],
  demo_amount: null,
};

describe("paying in automatically", () => {
  it("says what holds, in the currency that is charged", () => {
    expect(autoText(AUTO, PAYABLE, ASSET)).toBe(
      "Below 2.5 UNIT, 10.00 EUR are paid in. Today 10.00 EUR of at most 20.00 EUR, this month 30.00 EUR of at most 50.00 EUR.",
    );
  });

  it("says of the demo what it gives, in the asset", () => {
    const demo = { ...AUTO, currency: "UNIT", amount: "4000000", day: "0", month: "0" };
    expect(autoText(demo, PAYABLE, ASSET)).toContain("4 UNIT are paid in");
  });

  it("says why it was turned off, and that it is off", () => {
    const off: AutoTopUp = { ...AUTO, state: "off" };
    expect(autoText(off, PAYABLE, ASSET)).toBe("It is off.");
    expect(autoText({ ...off, why: "3 were declined" }, PAYABLE, ASSET)).toBe(
      "It was turned off: 3 were declined.",
    );
  });
});
