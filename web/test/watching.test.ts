import { describe, expect, it } from "vitest";

import { agentText, amountFault, backText } from "../me/watching";
import { formatExact, parseAmount } from "../sdk/money";

describe("an amount that somebody writes", () => {
  it.each([
    ["2.5", 2_500_000n],
    ["2,5", 2_500_000n],
    [" 1 000 ", 1_000_000_000n],
    [".5", 500_000n],
    ["7.", 7_000_000n],
    ["0", 0n],
    ["0.000001", 1n],
  ])("%s is whole planck", (text, planck) => {
    expect(parseAmount(text, 6)).toBe(planck);
  });

  it.each(["", ".", "-1", "1e3", "1.0000001", "1.2.3", "ten", "9".repeat(31)])(
    "%s is none",
    (text) => {
      expect(parseAmount(text, 6)).toBeNull();
    },
  );

  it("is shown so that it is read again as it was", () => {
    for (const planck of [0n, 1n, 10n ** 12n, 123_456_789_012_345_678n]) {
      expect(parseAmount(formatExact(planck, 12), 12)).toBe(planck);
    }
  });
});

describe("a limit that somebody writes", () => {
  it("is no 0, which would mean no limit", () => {
    for (const zero of ["0", "0.000", "00"]) expect(amountFault(zero, 6)).toContain("empty");
    expect(amountFault("0.5", 6)).toBe("");
    expect(amountFault("ten", 6)).toContain("at most 6 digits");
  });
});

describe("a browser's word for itself", () => {
  it("is told in two words", () => {
    const edge = "Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0";
    expect(agentText(edge)).toBe("Edge on Windows");
    expect(agentText("Mozilla/5.0 (iPhone; CPU) Version/18.0 Safari/604.1")).toBe(
      "Safari on iPhone",
    );
    expect(agentText("")).toBe("A program");
  });
});

describe("a show of which seconds were bad", () => {
  const asset = { symbol: "EUR", decimals: 6 };
  const show = {
    stream: "cam",
    title: "Camera",
    show: null,
    from_ms: 0,
    to_ms: 1,
    seconds: 20,
    covered_seconds: 0,
    planck: "2000000",
    receipts_url: "",
  };

  it("says what of its cost came back", () => {
    expect(backText({ ...show, given_back: "500000" }, asset)).toContain("0.5 EUR came back");
    expect(backText({ ...show, given_back: "0" }, asset)).toBe("");
  });
});
