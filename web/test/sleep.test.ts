import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ServerClock } from "../sdk/server_clock";
import { Sleep } from "../sdk/sleep";

let monotonicMs = 0;
let wallMs = 0;
let serverMs = 0;
let isServerThere = true;
let woken: number[] = [];
let isPriced = true;
let asked = 0;

const pass = (change: { monotonic?: number; wall?: number; server?: number }): void => {
  monotonicMs += change.monotonic ?? 0;
  wallMs += change.wall ?? 0;
  serverMs += change.server ?? 0;
};

const boot = (): string =>
  JSON.stringify({
    stream: "cam",
    title: "Camera",
    state: "live",
    multivariant: null,
    playlist: null,
    price: { planck_per_s: "1", symbol: "UNIT", decimals: 12 },
    session: null,
    top_up: { open: false, url: "" },
    now_ms: serverMs,
  });

const make = (): Sleep => {
  const clock = new ServerClock(wallMs, monotonicMs);
  clock.tell(serverMs, monotonicMs);
  return new Sleep({
    clock,
    page: () => "https://a.example/cam/",
    isPriced: () => isPriced,
    woke: (sleptMs) => woken.push(sleptMs),
  });
};

beforeEach(() => {
  [monotonicMs, wallMs, serverMs] = [1_000, 5_000_000, 9_000_000];
  [isServerThere, isPriced, woken, asked] = [true, true, [], 0];
  vi.spyOn(performance, "now").mockImplementation(() => monotonicMs);
  vi.spyOn(Date, "now").mockImplementation(() => wallMs);
  vi.stubGlobal("fetch", () => {
    asked += 1;
    return isServerThere
      ? Promise.resolve(new Response(boot()))
      : Promise.reject(new Error("unreachable"));
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("R8: the viewer's clock is set", () => {
  it("ahead: nothing is fetched until the server tells that the page was awake, then it is", async () => {
    const sleep = make();
    pass({ monotonic: 200, wall: 3_600_200, server: 200 });

    const may = sleep.mayFetch();

    expect(typeof may).toBe("object");
    expect(await may).toBe(true);
    expect(woken).toEqual([]);
    expect(sleep.mayFetch()).toBe(true);
    expect(asked).toBe(1);
  });

  it("back: nobody is asked", () => {
    const sleep = make();
    pass({ monotonic: 200, wall: -30_000, server: 200 });

    sleep.beat();

    expect(sleep.mayFetch()).toBe(true);
    expect(asked).toBe(0);
  });

  it("does not hold up what costs nothing", () => {
    isPriced = false;
    const sleep = make();
    pass({ monotonic: 200, wall: 30_200, server: 200 });

    sleep.beat();

    expect(sleep.mayFetch()).toBe(true);
  });
});

describe("V18: a machine that stops the monotonic clock slept", () => {
  it("by the server's time, and nothing is fetched for it", async () => {
    const sleep = make();
    pass({ monotonic: 200, wall: 600_200, server: 600_200 });

    expect(await sleep.mayFetch()).toBe(false);
    expect(woken).toEqual([600_000]);
    pass({ monotonic: 200, wall: 200, server: 200 });
    expect(sleep.mayFetch()).toBe(true);
  });

  it("by its own clock, when the server does not answer", async () => {
    isServerThere = false;
    const sleep = make();
    pass({ monotonic: 200, wall: 600_200, server: 600_200 });

    expect(await sleep.mayFetch()).toBe(false);
    expect(woken).toEqual([600_200]);
  });
});

it("V18: a page whose timers stood still slept, whatever the server says", async () => {
  const sleep = make();
  pass({ monotonic: 20_000, wall: 20_000, server: 20_000 });

  expect(sleep.mayFetch()).toBe(false);
  await Promise.resolve();

  expect(woken).toEqual([20_000]);
  expect(asked).toBe(0);
  expect(sleep.mayFetch()).toBe(true);
});
