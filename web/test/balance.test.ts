import { describe, expect, it } from "vitest";

import type { AutoTopUp } from "../me/auto_top_up";
import { balanceText, type Money } from "../me/balance";

const ASSET = { symbol: "EUR", decimals: 6 };
const AUTO: AutoTopUp = {
  state: "off",
  why: "",
  provider: null,
  threshold_planck: "0",
  amount: "0",
  day_max: "0",
  month_max: "0",
  currency: "EUR",
  currency_decimals: 2,
  day: "0",
  month: "0",
  held_by: null,
  pay_url: null,
  charges: [],
  offers: [],
};
const money = (balance: string | null, debt: string | null): Money => ({
  balance,
  debt,
  topUps: {
    currency: "EUR",
    currency_decimals: 2,
    amount_min: 500,
    amount_max: 900,
    providers: [],
  },
  withdrawals: { currency: "EUR", currency_decimals: 2, amount_max: "0", withdrawals: [] },
  auto: AUTO,
  stream: "",
});

describe("one's balance", () => {
  it("is told, also before anything was paid", () => {
    expect(balanceText(money("4800100", "0"), ASSET)).toBe("Your balance is 4.8001 EUR.");
    expect(balanceText(money(null, null), ASSET)).toBe("Your balance is 0 EUR.");
  });

  it("names what is owed, and that it is paid first", () => {
    const text = balanceText(money("0", "1250000"), ASSET);
    expect(text).toContain("You owe 1.25 EUR");
    expect(text).toContain("pays it first");
  });
});
