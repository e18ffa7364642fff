import { describe, expect, it } from "vitest";

import { balanceText, type Money } from "../me/balance";

const ASSET = { symbol: "EUR", decimals: 6 };
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
