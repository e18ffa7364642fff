import { describe, expect, it } from "vitest";

import { minorOf, moneyText, payLabel } from "../me/minor";

const EUR = { currency: "EUR", currency_decimals: 2, amount_min: 500, amount_max: 20_000 };

describe("an amount to pay in", () => {
  it.each([
    ["5", 500],
    ["7.12", 712],
    ["7,1", 710],
    ["200", 20_000],
  ])("%s is read to the cent", (text, minor) => {
    expect(minorOf(text, EUR)).toBe(minor);
  });

  it.each(["1", "4.99", "200.01", "0"])(
    "%s is refused in the currency as it is written",
    (text) => {
      expect(minorOf(text, EUR)).toBe("Write an amount from 5.00 EUR to 200.00 EUR.");
    },
  );

  it.each(["7.123", "", "ten", "-5"])("%j is not rounded, but refused", (text) => {
    expect(minorOf(text, EUR)).toBe(
      "Write an amount such as 5.00 EUR, with at most 2 digits behind the point.",
    );
  });

  it("of a currency without minor units is whole", () => {
    const yen = { currency: "JPY", currency_decimals: 0, amount_min: 500, amount_max: 900 };
    expect(minorOf("700", yen)).toBe(700);
    expect(minorOf("700.5", yen)).toContain("in whole numbers");
    expect(moneyText(500, yen)).toBe("500 JPY");
  });

  it("is paid at a button in a person's words", () => {
    expect(payLabel("webhook")).toBe("Pay in");
    expect(payLabel("stripe")).toContain("Stripe");
  });
});
