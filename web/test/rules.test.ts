import { describe, expect, it } from "vitest";

import { delayMs, OFFLINE, SOCKET } from "../sdk/backoff";
import { decide, EdgeTarget } from "../sdk/catchup";
import { prefixOf, renewDelayMs, swapPrefix } from "../sdk/token_path";
import { readRefusal } from "../sdk/refusal";
import { safeUrl } from "../sdk/request";

describe("back-off", () => {
  it("doubles up to its maximum and is never zero", () => {
    const delays = [0, 1, 2, 3, 20, 5_000].map((attempt) => delayMs(SOCKET, attempt, () => 1));

    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 15_000, 15_000]);
  });

  it("keeps at least half of the delay, whatever the random number", () => {
    expect(delayMs(OFFLINE, 0, () => 0)).toBe(1_500);
  });
});

describe("token prefix", () => {
  it("is found in a page path", () => {
    expect(prefixOf("/w/t1/cam/")).toBe("/w/t1/");
    expect(prefixOf("/cam/")).toBe("");
  });

  it("replaces the old token and nothing else", () => {
    const url = "https://a.example/w/old/cam/7/source/media.m3u8?_HLS_msn=4&_HLS_part=1";

    expect(swapPrefix(url, "/w/new/")).toBe(url.replace("/old/", "/new/"));
  });

  it("takes dollar signs of a token as they are", () => {
    expect(swapPrefix("https://a.example/w/old/cam/", "/w/$&/")).toBe(
      "https://a.example/w/$&/cam/",
    );
  });

  it("leaves a path without a token alone", () => {
    expect(swapPrefix("https://a.example/cam/w/x/", "/w/new/")).toBe("https://a.example/cam/w/x/");
  });

  it("is renewed while there is time for more attempts", () => {
    expect(renewDelayMs(300_000, 0)).toBe(200_000);
    expect(renewDelayMs(60_000, 0)).toBe(30_000);
    expect(renewDelayMs(12_000, 0)).toBe(4_000);
    expect(renewDelayMs(0, 5_000)).toBe(1_000);
    expect(renewDelayMs(1e15, 0)).toBeLessThan(2 ** 31);
  });
});

describe("catch-up", () => {
  const rule = { targetS: 0.9, lowS: 0.2 };
  const at = (latencyS: number, bufferS = 1, mayRate = true) =>
    decide(rule, { latencyS, bufferS, mayRate });

  it("plays faster behind the target, at most at 1.25", () => {
    expect(at(1.0)).toEqual({ rate: 1.1 });
    expect(at(3)).toEqual({ rate: 1.25 });
  });

  it("never speeds up into an empty buffer", () => {
    expect(at(1.5, 0.15)).toEqual({ rate: 1 });
  });

  it("plays slower when too near, at least at 0.95", () => {
    expect(at(0.5)).toEqual({ rate: 0.95 });
  });

  it("leaves a good distance alone", () => {
    expect(at(0.88)).toEqual({ rate: 1 });
  });

  it("jumps when far behind", () => {
    expect(at(30)).toEqual({ jumpS: 29.1 });
  });

  it("R14: jumps sooner where the rate is left alone, into what has been fetched", () => {
    expect(at(2.8, 2.7, false)).toEqual({ rate: 1 });
    expect(at(3.4, 3.3, false)).toEqual({ jumpS: 2.5 });
    expect(at(3.4, 2.6, false)).toEqual({ rate: 1 });
  });

  it("moves back after stalls, to a limit, and advances again without stalls", () => {
    const target = new EdgeTarget(0.9, 0);
    for (let stall = 0; stall < 9; stall += 1) target.stalled(0);
    expect(target.at(0)).toBeCloseTo(1.3);
    expect(target.at(10_001)).toBeCloseTo(1.28);
    expect(target.at(10_002)).toBeCloseTo(1.28);

    for (let now = 12_000; now < 120_000; now += 1_000) target.at(now);

    expect(target.at(120_000)).toBeCloseTo(0.9);
  });
});

describe("refusals", () => {
  const kind = (status: number, reason = "") =>
    readRefusal(status, JSON.stringify({ reason }), null)?.kind;

  it("says who must act", () => {
    expect(kind(402, "purse")).toBe("purse");
    expect(kind(402, "limit")).toBe("limit");
    expect(kind(403, "session")).toBe("session");
    expect(kind(403, "stream")).toBe("token");
    expect(kind(429, "pace")).toBe("pace");
    expect(kind(503)).toBe("busy");
    expect(kind(404)).toBeUndefined();
  });

  it("reads a body that is no problem document", () => {
    expect(readRefusal(402, "<html>", null)?.kind).toBe("purse");
  });

  it("bounds what a server may ask to wait", () => {
    expect(readRefusal(429, "", "999999")?.retryAfterMs).toBe(60_000);
    expect(readRefusal(429, "", "soon")?.retryAfterMs).toBeNull();
  });

  it("follows no script behind a top-up link", () => {
    expect(safeUrl("javascript:alert(1)")).toBe("");
    expect(safeUrl("//evil.example")).toBe("");
    expect(safeUrl("https://pay.example/x")).toBe("https://pay.example/x");
  });
});
