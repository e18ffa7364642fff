import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import {
  canAgreeNext,
  figures,
  fineLine,
  noticeFor,
  priceLines,
  statusLine,
  toastLine,
  topUpAddress,
  visitLine,
  warningLine,
} from "../app/messages";
import { digitsFor, formatClock, formatPlanck, formatShort, formatSpan } from "../sdk/money";
import type { Snapshot, State } from "../sdk/snapshot";
import { shown } from "./shown";
import { parseMeterMessage, parseMinted } from "../sdk/types";

describe("V17, V18: the pause screen", () => {
  it("says who paused, and that it costs nothing", () => {
    const lines = (reason: Snapshot["reason"]): string => {
      const notice = noticeFor(shown({ state: "paused", reason }));
      expect(notice?.action).toEqual({ kind: "play", label: "Watch live" });
      return `${notice?.title}: ${notice?.text}`;
    };

    expect(lines(null)).toBe("Paused: Nothing is fetched, so nothing is charged.");
    expect(lines("asleep")).toMatch(/asleep: Nothing of that time was fetched or charged/);
    expect(lines("hidden")).toMatch(/away: .* stopped fetching, and charging/);
    expect(lines("idle")).toMatch(/^Still there\?: .* so nothing is charged/);
  });
});

describe("V16: the last second", () => {
  it("is not told as 0 s more", () => {
    expect(toastLine(shown({ warning: 10, secondsLeft: 0 }))).toBe("Your balance is used up");
    expect(toastLine(shown({ warning: 10, secondsLeft: 1 }))).toContain("1\u00a0s more");
  });
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
    expect(priceLines(shown({ freeS: 12 })).map((line) => line.replaceAll("\u00a0", " "))).toEqual([
      "Free for 12 s more",
      "then 0.001 TICK a second: 0.06 TICK a minute, 3.6 TICK an hour",
    ]);
  });

  it("says the most that a show costs, and when it is paid", () => {
    const price = { ...shown().price, show_cap: "500000000000" };

    expect(priceLines(shown({ price }))[1]).toContain("never more than 0.5\u00a0TICK for a show");
    expect(priceLines(shown({ price, isShowPaid: true }))[0]).toBe("You pay no more for this show");
  });

  it("says until when a pass covers it", () => {
    const untilMs = Date.UTC(2026, 11, 30, 12);

    expect(priceLines(shown({ passUntilMs: 0 }))).toEqual([
      "Covered by your pass",
      "until this show ends",
    ]);
    expect(priceLines(shown({ passUntilMs: untilMs }))[1]).toMatch(/^until Dec 30, 2026, /u);
  });

  it("says what was billed, which is not what was watched", () => {
    expect(visitLine(shown()).replaceAll("\u00a0", " ")).toBe(
      "You were billed 0.125 TICK for 2 min 5 s.",
    );
    expect(figures(shown())).toEqual({
      spent: "0.125",
      balance: "0.875",
      watched: "2:10",
      billed: "2:05",
      left: "14\u00a0min 35\u00a0s",
      limit: "",
    });
  });

  it("shows every price since the page opened to its last digit, so that the sums add up", () => {
    // After 0.0125 a second came 0.005: three digits of the new price would cut what was spent.
    const price = { planck_per_s: "5000", symbol: "EUR", decimals: 6 };
    const cheaper = shown({ price, pricePlanck: "5000", spentPlanck: "18750" });
    const { spent, balance } = figures({ ...cheaper, balancePlanck: "481250" });

    expect([spent, balance]).toEqual(["0.01875", "0.48125"]);
    expect(figures(cheaper, 6).spent).toBe("0.018750");
  });

  it("shows the limit of this player, and for how long the lower of both lasts", () => {
    const limited = figures(shown(), 3, 185_000_000_000n);
    expect([limited.limit, limited.left]).toEqual(["0.185\u00a0TICK", "1\u00a0min"]);
    expect(figures(shown(), 3, 9_000_000_000_000n).left).toBe("14\u00a0min 35\u00a0s");
    expect(figures(shown({ isShowPaid: true }), 3, 1n).left).toBe("14\u00a0min 35\u00a0s");
    expect(figures(shown(), 3, 1n).left).toBe("0 s");
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
    const linked = noticeFor({ ...empty, topUp: { isOpen: false, url, canPayIn: false } });
    expect(linked?.action).toBeNull();
    expect(linked?.link?.url).toBe(url);
  });

  it("leads to the account's page where that takes payments, and back to the stream", () => {
    const topUp = { isOpen: false, url: "https://pay.example/", canPayIn: true };
    const dry = noticeFor(shown({ state: "stopped", reason: "purse", topUp }));

    expect(dry?.link).toEqual({ url: "/me/#pay-in=cam", label: "Top up" });
    expect(dry?.text).toContain("Top up");
    expect(topUpAddress(shown({ topUp }), false)).toBe("/me/#pay-in");
  });

  it("names a debt, which the next deposit pays first", () => {
    const owing = shown({ state: "stopped", reason: "purse", debtPlanck: "1250000000000" });

    expect(noticeFor(owing)?.title).toBe("You owe 1.25\u00a0TICK");
    expect(noticeFor(owing)?.text).toContain("what you pay in pays that first");
    expect(statusLine(owing)).toBe("Stopped: something is owed");
  });

  it("says what to press where a limit was lifted", () => {
    const limited = noticeFor(shown({ state: "stopped", reason: "limit" }));

    expect(limited?.other).toEqual({ kind: "play", label: "Try again" });
    expect(limited?.text).toContain("your account\u2019s page");
  });

  it("takes a session back only by a button", () => {
    expect(noticeFor(shown({ state: "kicked", reason: "session" }))?.action?.kind).toBe(
      "take-over",
    );
  });

  it("offers no way back into a session that was ended for good", () => {
    const ended = "This account is barred from this stream: spam.";
    const notice = noticeFor(shown({ state: "kicked", reason: "session", ended }));

    expect(notice?.text).toBe(ended);
    expect(notice?.action).toBeNull();
    expect(notice?.link?.url).toBe("/cam/#watch");
  });

  it("explains the pace and the wait", () => {
    expect(toastLine(shown({ state: "slowed", reason: "pace" }))).toContain(
      "asks this player to wait",
    );
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
      debt: 0n,
      price: 10n,
      next: null,
      nowMs: null,
      secondsLeft: 6,
      freeS: 0,
      showLeft: null,
      passUntilMs: null,
      state: "live",
    });
  });

  it("reads until when a pass covers the stream", () => {
    const reading = {
      ...{ type: "meter", seconds: 4, spent: "40", balance: "60", price: "10", state: "live" },
    };
    const withPass = (pass: unknown): unknown =>
      parseMeterMessage(JSON.stringify({ ...reading, pass }));

    expect(withPass({ until_ms: 1_702_592_000_000 })).toMatchObject({
      passUntilMs: 1_702_592_000_000,
    });
    expect(withPass({ until_ms: null })).toMatchObject({ passUntilMs: 0 });
    expect(withPass(undefined)).toMatchObject({ passUntilMs: null });
  });

  it("V2, V19: reads the price to come and the server's clock", () => {
    const text = JSON.stringify({
      ...{ type: "meter", seconds: 4, spent: "40", balance: "60", price: "10", state: "live" },
      now_ms: 1_700_000_000_123,
      next_price: { planck_per_s: "100", from_ms: 1_700_000_060_000 },
    });

    expect(parseMeterMessage(text)).toMatchObject({
      nowMs: 1_700_000_000_123,
      next: { planck: 100n, fromMs: 1_700_000_060_000 },
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

describe("V12: a server that restarts, and an operator who closes", () => {
  const says = (change: Partial<Snapshot>): string => {
    const now = shown(change);
    const notice = noticeFor(now);
    return [statusLine(now), toastLine(now), notice?.title, notice?.text, notice?.hint].join(" ");
  };

  it("never blames the creator for the server", () => {
    for (const state of ["waiting", "reconnecting", "slowed", "loading"] as const) {
      const text = says({ state, isServerAway: true, isPublisherAway: true });
      expect(text).not.toMatch(/creator|ended|over/);
    }
    expect(says({ state: "waiting", isServerAway: true })).toMatch(/server is restarting/);
    expect(says({ state: "waiting", isPublisherAway: true })).toMatch(/creator/);
  });

  it("tells a closed stream as such", () => {
    for (const state of ["offline", "ended"] as const) {
      const text = says({ state, reason: "closed" });
      expect(text).toMatch(/operator has closed/);
      expect(text).not.toMatch(/has ended|Not live yet|starts by itself/);
    }
  });
});

describe("V4: a link that expires while watching", () => {
  it("is told in the words of a reload, without a button that only fails", () => {
    const next = { nextPrice: { planck: "9000000000", fromMs: 1_700_000_060_000 } };
    const expired = shown({ state: "denied", reason: "expired", ...next });

    expect(statusLine(expired)).toBe("This link has expired");
    expect(noticeFor(expired)).toMatchObject({
      title: "This link has expired",
      text: "Ask for a new one where you got it.",
      action: null,
    });
    expect(canAgreeNext(expired)).toBe(false);
    expect(canAgreeNext(shown(next))).toBe(true);
    expect(noticeFor(shown({ state: "denied", reason: "token" }))?.action?.label).toBe("Try again");
  });
});

describe("V10: what was spent", () => {
  it("is named after what is counted: the link's session, in whichever browser", () => {
    expect(readFileSync("index.html", "utf8")).toContain(">Spent with this link<");
    expect(readFileSync(join("..", "docs/viewer.md"), "utf8")).toContain(
      "**Spent with this link**",
    );
  });
});

describe("V14: a link that counts for nothing on a free stream", () => {
  it("is told in words", () => {
    const free = { isPriced: false, session: null, isMeterOpen: false };
    expect(fineLine(shown({ ...free, link: "stream" }))).toMatch(/for another stream.*free/);
    expect(fineLine(shown({ ...free, link: "expired" }))).toMatch(/no longer good.*free/);
    expect(fineLine(shown(free))).toBe("");
  });
});
