import { describe, expect, it } from "vitest";

import { Counter } from "../sdk/counter";
import { correct, countOn, warningFor, type Anchor } from "../sdk/meter";
import type { MeterReading } from "../sdk/types";

const reading = (change: Partial<MeterReading> = {}): MeterReading => ({
  type: "meter",
  seconds: 10,
  spent: 1_000n,
  balance: 500n,
  debt: 0n,
  price: 100n,
  next: null,
  nowMs: null,
  secondsLeft: 5,
  freeS: 0,
  showLeft: null,
  passUntilMs: null,
  state: "live",
  ...change,
});
const anchor = (change: Partial<MeterReading> = {}): Anchor => ({
  reading: reading(change),
  playedMs: 0,
});

describe("counting on between readings", () => {
  it("adds the price of each whole second that played", () => {
    expect(countOn(anchor(), 2_999)).toEqual({
      seconds: 12,
      spent: 1_200n,
      balance: 300n,
      secondsLeft: 3,
      freeS: 0,
      showLeft: null,
      passUntilMs: null,
    });
  });

  it("bills nothing while a second is free", () => {
    const free = anchor({ seconds: 0, spent: 0n, freeS: 4, secondsLeft: 9 });

    const early = countOn(free, 3_000);
    const late = countOn(free, 6_000);

    expect([early.seconds, early.spent, early.freeS]).toEqual([0, 0n, 1]);
    expect([late.seconds, late.spent, late.freeS, late.balance]).toEqual([2, 200n, 0, 300n]);
  });

  it("bills no second that would pass the most that the show costs", () => {
    const count = countOn(anchor({ secondsLeft: null, showLeft: 250n }), 9_000);

    expect([count.seconds, count.spent, count.showLeft]).toEqual([12, 1_200n, 50n]);
  });

  it("bills nothing while a pass covers it", () => {
    const count = countOn(anchor({ secondsLeft: null, passUntilMs: 0 }), 9_000);

    expect([count.seconds, count.spent, count.balance, count.passUntilMs]).toEqual([
      10,
      1_000n,
      500n,
      0,
    ]);
  });

  it("never spends more than the balance", () => {
    const count = countOn(anchor(), 60_000);

    expect(count.balance).toBe(0n);
    expect(count.secondsLeft).toBe(0);
    expect(count.seconds).toBe(15);
  });

  it("keeps amounts exact beyond a double", () => {
    const price = 123_456_789_012_345_678n;

    expect(countOn(anchor({ price, spent: 0n, secondsLeft: null }), 3_000).spent).toBe(3n * price);
  });

  it("shows what the meter read once nothing more is claimed", () => {
    const counter = new Counter(100n, 0);
    counter.read(reading());
    counter.pass(1_500, true);
    expect(counter.show(false).seconds).toBe(11);

    // What is fetched and paid for plays on.
    counter.pass(3_000, true);
    const refused = counter.show(true);

    expect([refused.seconds, refused.spent, refused.balance]).toEqual([10, 1_000n, 500n]);
  });

  it("does not count while the picture does not move", () => {
    const counter = new Counter(100n, 0);
    counter.read(reading());
    counter.pass(5_000, false);

    expect(counter.show(false).seconds).toBe(10);
  });

  it("is not held ahead of the meter while the picture does not move", () => {
    const counter = new Counter(100n, 0);
    counter.read(reading());
    counter.pass(1_000, true);
    expect(counter.show(false).seconds).toBe(11);
    counter.read(reading());
    expect(counter.show(false).seconds).toBe(11);
    counter.pass(2_000, false);
    counter.read(reading());

    expect(counter.show(false)).toMatchObject({ seconds: 10, spent: 1_000n });
  });

  it("counts a suspended tab's jump as two seconds, not as minutes", () => {
    const counter = new Counter(100n, 0);
    counter.read(reading({ secondsLeft: null }));
    counter.pass(600_000, true);

    expect(counter.show(false).seconds).toBe(12);
  });
});

describe("being corrected by a reading", () => {
  const shown = countOn(anchor(), 2_000);

  it("is held when the reading is a second behind", () => {
    expect(correct(shown, countOn(anchor(), 1_000))).toBe(shown);
  });

  it("goes back at once when the difference is larger", () => {
    const corrected = countOn(anchor({ seconds: 5, spent: 500n, balance: 1_000n }), 0);

    expect(correct(shown, corrected)).toBe(corrected);
  });

  it("shows a deposit even while it holds the seconds", () => {
    const counted = countOn(anchor({ balance: 9_000n, secondsLeft: 90 }), 1_000);

    expect(correct(shown, counted)).toBe(counted);
  });
});

describe("warnings", () => {
  it.each([
    [61, null],
    [60, 60],
    [31, 60],
    [30, 30],
    [10, 10],
    [0, 10],
    [null, null],
  ])("with %s s left", (left, due) => {
    expect(warningFor(left)).toBe(due);
  });
});

describe("after a deposit", () => {
  it("goes on only when the balance is larger and pays for a second", () => {
    const counter = new Counter(100n, 0);
    counter.read(reading({ balance: 99n, secondsLeft: 0 }));
    const before = counter.count().balance;
    expect(counter.canGoOn(before)).toBe(false);

    counter.deposited(1_000n);

    expect(counter.canGoOn(before)).toBe(true);
    expect(counter.count().secondsLeft).toBe(10);
  });
});

describe("V10: watched, and billed here", () => {
  it("are two numbers: what another device paid was watched here and not billed here", () => {
    const counter = new Counter(100n, 0, 40);
    counter.read(reading({ seconds: 1, spent: 100n, secondsLeft: 900 }));
    for (let ms = 200; ms <= 12_000; ms += 200) counter.pass(ms, true);
    counter.read(reading({ seconds: 1, spent: 100n, secondsLeft: 900 }));

    expect(counter.playedS).toBe(52);
    expect(counter.count().seconds).toBe(1);
  });

  it("keep what was billed when another session begins, after a take-over or a renewal", () => {
    const counter = new Counter(100n, 0);
    counter.read(reading({ seconds: 30, spent: 3_000n, secondsLeft: 900 }));
    counter.renew();
    expect(counter.count().seconds).toBe(30);
    counter.read(reading({ seconds: 2, spent: 200n, secondsLeft: 900 }));

    expect(counter.count()).toMatchObject({ seconds: 32, spent: 3_200n });
  });
});
