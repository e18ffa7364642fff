import { describe, expect, it } from "vitest";

import { isNextAbove, nextPriceLine, noticeFor, priceLines, toastLine } from "../app/messages";
import { Consent, ticksOf, UNSEEN_MAX_S } from "../sdk/consent";
import { formatTime } from "../sdk/money";
import { shown } from "./shown";

const agreed = (pricePlanck: bigint, limitPlanck: bigint | null = null) => ({
  pricePlanck,
  limitPlanck,
});
const next = (planck: bigint, fromMs: number) => ({ planck, fromMs });

describe("V8: paying starts with a start", () => {
  it("asks before the first second that costs", () => {
    const consent = new Consent(null, 100n, null);

    expect(consent.take(50, 1)).toBe("start");
    consent.agree(null);
    expect(consent.take(50, 2)).toBeNull();
  });

  it("asks nothing of a free stream, and waits for a price that is not known", () => {
    expect(new Consent(null, 0n, null).take(50, 1)).toBeNull();

    const consent = new Consent(agreed(100n), null, null);
    expect(consent.take(50, 1)).toBe("unknown");
    consent.setPrice(100n, null);
    expect(consent.take(50, 1)).toBeNull();
  });

  it("remembers by price: as much or less needs no word, more does", () => {
    expect(new Consent(agreed(100n), 100n, null).question(50)).toBeNull();
    expect(new Consent(agreed(100n), 99n, null).question(50)).toBeNull();
    expect(new Consent(agreed(100n), 101n, null).question(50)).toBe("price");
  });

  it("never fetches beyond the viewer's own limit, counts each second once, and goes on when told", () => {
    const consent = new Consent(agreed(100n, 300n), 100n, null);

    expect([50, 51, 51, 50].map((tick) => consent.take(tick, 1))).toEqual([null, null, null, null]);
    expect(consent.take(51, 3)).toBe("own_limit");
    expect(consent.take(51, 2)).toBeNull();
    expect(consent.take(50, 3)).toBeNull();
    expect(consent.take(53, 1)).toBe("own_limit");
    consent.agree(100n);
    expect(consent.take(53, 1)).toBeNull();
    expect(consent.take(54, 1)).toBe("own_limit");
  });

  it("counts a remembered limit over a reload, and a new one from the click on", () => {
    const reloaded = new Consent(agreed(100n, 300n), 100n, null);
    reloaded.take(50, 1);
    reloaded.carry(300n);
    expect(reloaded.take(51, 1)).toBe("own_limit");

    const clicked = new Consent(null, 100n, null);
    clicked.agree(300n);
    clicked.carry(5_000n);
    expect(clicked.take(50, 3)).toBeNull();
    expect(clicked.take(53, 1)).toBe("own_limit");
  });

  it("bounds what is counted before the first picture, and says so", () => {
    const consent = new Consent(agreed(100n), 100n, null);
    consent.opened();
    for (let tick = 0; tick < UNSEEN_MAX_S; tick += 1) {
      expect(consent.isUnseen).toBe(false);
      consent.take(tick, 1);
    }
    expect(consent.isUnseen).toBe(true);
    consent.seen();
    expect(consent.isUnseen).toBe(false);

    const asked = noticeFor(shown({ state: "asking", reason: "start", agreedPlanck: null }));
    expect(asked?.hint).toContain(`at most ${UNSEEN_MAX_S} seconds`);
    expect(asked?.action?.label).toBe("Watch for 3.6\u00a0TICK an hour");
    expect(asked?.hasLimit).toBe(true);
  });
});

describe("V2: a price to come", () => {
  it("is asked for at the very second, by what the media's address says", () => {
    const consent = new Consent(agreed(100n), 100n, next(1_000n, 60_000));

    expect(consent.take(58, 2)).toBeNull();
    expect(consent.take(59, 2)).toBe("price");
    expect(consent.take(60, 1)).toBe("price");
    // The server's own clock is not there yet: what is agreed to is the price of what comes next.
    consent.setPrice(100n, next(1_000n, 60_000));
    expect(consent.price).toBe(1_000n);
    consent.agree(null);
    expect(consent.take(60, 1)).toBeNull();
    expect(consent.agreed).toEqual(agreed(1_000n));
  });

  it("can be agreed to ahead, and the viewer's limit goes on as it was", () => {
    const consent = new Consent(agreed(100n, 1_150n), 100n, next(1_000n, 60_000));
    consent.take(59, 1);

    consent.agree(1_150n, true);

    expect(consent.agreed).toEqual(agreed(1_000n, 1_150n));
    expect(consent.take(60, 1)).toBeNull();
    expect(consent.take(61, 1)).toBe("own_limit");

    const close = new Consent(agreed(100n, 1_050n), 100n, next(1_000n, 60_000));
    close.take(59, 1);
    close.agree(1_050n, true);
    expect(close.take(60, 1)).toBe("own_limit");
  });

  it("costs what it does from then on, for the viewer's limit too", () => {
    const consent = new Consent(agreed(1_000n, 1_200n), 100n, next(1_000n, 60_000));

    expect(consent.take(58, 3)).toBeNull();
    expect(consent.take(61, 1)).toBe("own_limit");
  });

  it("is told with a time, apart from the present one", () => {
    const fromMs = 1_700_000_060_000;
    const coming = shown({ nextPrice: { planck: "10000000000", fromMs } });

    expect(priceLines(coming)[0]).toBe("0.001\u00a0TICK a second");
    expect(nextPriceLine(coming)).toBe(
      `From ${formatTime(fromMs)} on it costs 0.01\u00a0TICK a second, 36\u00a0TICK an hour.`,
    );
    expect(formatTime(fromMs)).toMatch(/^\d\d:\d\d:20$/);
    expect(toastLine(coming)).toContain("Then it asks you first.");
    expect(isNextAbove(shown({ nextPrice: { planck: "1000000000", fromMs } }))).toBe(false);
    expect(nextPriceLine(shown({ nextPrice: { planck: "0", fromMs } }))).toMatch(/^Free from/);
    expect(nextPriceLine(shown())).toBeNull();
  });

  it("shows both prices when it asks", () => {
    const notice = noticeFor(
      shown({ state: "asking", reason: "price", pricePlanck: "10000000000" }),
    );

    expect(notice?.text).toBe("It is 0.01\u00a0TICK a second now. You agreed to 0.001\u00a0TICK.");
  });
});

it("V2: the seconds of an address", () => {
  expect(ticksOf("https://a.example/w/t/cam/7/360p/12.3-1700000000x2.m4s?x=1")).toEqual([
    1_700_000_000, 2,
  ]);
  expect(ticksOf("https://a.example/w/t/cam/7/360p/init-ab.mp4")).toBeNull();
});
