import { describe, expect, it } from "vitest";

import type { OwnPass, WatchedShow } from "../me/api";
import { coveredText, passText } from "../me/passes";

const ASSET = { symbol: "EUR", decimals: 6 };
const PASS: OwnPass = {
  stream: "cam",
  show: 1000,
  planck: "5000000",
  from_tick: 1000,
  until_ms: null,
  created_ms: 1_000_000,
  refunded_ms: null,
};
const SHOW: WatchedShow = {
  stream: "cam",
  title: "Camera",
  show: 1000,
  from_ms: 1_000_000,
  to_ms: 1_060_000,
  seconds: 60,
  covered_seconds: 60,
  planck: "0",
  given_back: "0",
  receipts_url: "",
};

describe("a pass on the account page", () => {
  it("names what it cost, and what came back", () => {
    expect(passText(PASS, ASSET)).toMatch(/^cam: one show, bought on .+ for 5 EUR$/);
    expect(passText({ ...PASS, until_ms: 9_000_000 }, ASSET)).toContain("cam: until ");
    expect(passText({ ...PASS, refunded_ms: 2_000_000 }, ASSET)).toContain("came back on");
  });

  it("is named where it holds for all that was watched", () => {
    const month = { ...PASS, show: null, until_ms: 9_000_000 };
    expect(coveredText(SHOW, [PASS])).toBe(", 1\u00a0min covered by your pass");
    expect(coveredText(SHOW, [month])).toContain("covered by your pass");
    expect(coveredText({ ...SHOW, covered_seconds: 0 }, [PASS])).toBe("");
  });

  it("is not named where the seconds may have been free", () => {
    const late = { ...PASS, from_tick: 1030 };
    expect(coveredText(SHOW, [late])).toContain("free or covered by your pass");
    const others = [
      { ...PASS, stream: "talks" },
      { ...PASS, show: 900 },
      { ...PASS, refunded_ms: 2_000_000 },
    ];
    expect(coveredText(SHOW, others)).toBe(", 1\u00a0min free");
    expect(coveredText(SHOW, [])).toBe(", 1\u00a0min free");
  });
});
