import { describe, expect, it } from "vitest";

import {
  figures,
  noticeFor,
  priceLines,
  statusLine,
  toastLine,
  visitLine,
  warningLine,
} from "../app/messages";
import { digitsFor, formatClock, formatPlanck, formatShort, formatSpan } from "../sdk/money";
import type { Snapshot, State } from "../sdk/snapshot";
import { parseMeterMessage, parseMinted } from "../sdk/types";

const shown = (change: Partial<Snapshot> = {}): Snapshot => ({
  state: "live",
  reason: null,
  stream: "cam",
  title: "Cam",
  session: "00112233aabbccdd",
  isPriced: true,
  pricePlanck: "1000000000",
  price: { planck_per_s: "1000000000", symbol: "TICK", decimals: 12 },
  secondsWatched: 125,
  spentPlanck: "125000000000",
  balancePlanck: "875000000000",
  secondsLeft: 875,
  warning: null,
  isMeterOpen: true,
  isMuted: true,
  latencyS: 1,
  firstFrameMs: 300,
  stalls: 0,
  topUp: { isOpen: true, url: "" },
  isBusy: false,
  error: "",
  retryAtMs: null,
  isPublisherAway: false,
  path: "/w/t/cam/",
  ...change,
});

describe("money as text", () => {
  it("shows as many digits as a second moves", () => {
    expect(digitsFor(1_000_000_000n, 12)).toBe(3);
    expect(digitsFor(5_000_000_000_000n, 12)).toBe(2);
    expect(formatPlanck(125_000_000_000n, 12, 3)).toBe("0.125");
    expect(formatPlanck(-1n, 0, 0)).toBe("\u22121");
    expect(formatPlanck(1_234_567n, 2, 2)).toBe("12\u202f345.67");
  });

  it("is exact beyond a double", () => {
    expect(formatShort(123_456_789_012_345_678_901n, 12)).toBe("123\u202f456\u202f789.0123456789");
    expect(formatShort(3_600_000n, 6)).toBe("3.6");
    expect(formatShort(5n, 0)).toBe("5");
    expect(formatShort(100n, 0)).toBe("100");
  });

  it("formats times", () => {
    expect(formatClock(3_723)).toBe("1:02:03");
    expect(formatSpan(3_723)).toBe("1\u00a0h 2\u00a0min");
    expect(formatSpan(0)).toBe("0 s");
  });

  it("says the price for a second, a minute and an hour", () => {
    expect(priceLines(shown()).map((line) => line.replaceAll("\u00a0", " "))).toEqual([
      "0.001 TICK a second",
      "0.06 TICK a minute, 3.6 TICK an hour",
    ]);
    expect(priceLines(shown({ isPriced: false }))[0]).toBe("Free to watch");
  });

  it("says what was watched and what it cost", () => {
    expect(visitLine(shown()).replaceAll("\u00a0", " ")).toBe(
      "You watched 2 min 5 s for 0.125 TICK.",
    );
    expect(figures(shown())).toEqual({
      spent: "0.125",
      balance: "0.875",
      watched: "2:05",
      left: "14\u00a0min 35\u00a0s",
    });
  });
});

describe("states as text", () => {
  it("covers the picture in every state that has none, and says why", () => {
    const covered: State[] = ["offline", "ended", "stopped", "kicked", "denied", "paused"];
    for (const state of covered) {
      expect(noticeFor(shown({ state }))?.title, state).toBeTruthy();
      expect(statusLine(shown({ state }))).toBeTruthy();
    }
    for (const state of ["live", "waiting", "reconnecting", "slowed"] as const) {
      expect(noticeFor(shown({ state })), state).toBeNull();
    }
  });

  it("offers top-up where there is one", () => {
    const empty = shown({ state: "stopped", reason: "purse" });
    expect(noticeFor(empty)?.action?.kind).toBe("top-up");

    const url = "https://pay.example/";
    const linked = noticeFor({ ...empty, topUp: { isOpen: false, url } });
    expect(linked?.action).toBeNull();
    expect(linked?.link?.url).toBe(url);
  });

  it("takes a session back only by a button", () => {
    expect(noticeFor(shown({ state: "kicked", reason: "session" }))?.action?.kind).toBe(
      "take-over",
    );
  });

  it("explains the pace and the wait", () => {
    expect(toastLine(shown({ state: "slowed", reason: "pace" }))).toContain("faster");
    expect(toastLine(shown({ state: "waiting", isPublisherAway: true }))).toContain("creator");
  });

  it("warns ahead of the end", () => {
    expect(warningLine(shown({ warning: 60, secondsLeft: 55 }))).toContain("a minute");
    expect(warningLine(shown())).toBeNull();
    expect(warningLine(shown({ warning: 60, secondsLeft: 55, state: "kicked" }))).toBeNull();
  });
});

describe("messages", () => {
  it("reads a reading of the meter", () => {
    const text =
      '{"type":"meter","seconds":4,"spent":"40","balance":"60","price":"10","seconds_left":6,"state":"live"}';

    expect(parseMeterMessage(text)).toEqual({
      type: "meter",
      seconds: 4,
      spent: 40n,
      balance: 60n,
      price: 10n,
      secondsLeft: 6,
      state: "live",
    });
  });

  it.each([
    "",
    "null",
    "[]",
    "{}",
    '{"type":"meter"}',
    '{"type":"meter","seconds":4,"spent":40,"balance":"60","price":"10","seconds_left":6,"state":"live"}',
    '{"type":"stopped","reason":"whim"}',
    '{"type":"warning","seconds_left":-1}',
  ])("takes %s for nothing", (text) => {
    expect(parseMeterMessage(text)).toBeNull();
  });

  it("accepts a new token only for its own stream", () => {
    const minted = (path: string) =>
      parseMinted(JSON.stringify({ path, session: "aa", expires_ms: 5 }), "cam");

    expect(minted("/w/a.b-c_d/cam/")?.path).toBe("/w/a.b-c_d/cam/");
    expect(minted("/w/t/other/")).toBeNull();
    expect(minted("https://evil.example/w/t/cam/")).toBeNull();
    expect(minted("//evil.example/w/t/cam/")).toBeNull();
  });
});
