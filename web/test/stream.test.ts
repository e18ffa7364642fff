import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TickStream } from "../sdk/stream";
import type { Boot } from "../sdk/types";

/** Requests and meter connections, in order. */
let asked: string[] = [];

/** What the server answers, by URL; nothing else is reached. */
const answers = new Map<string, { status: number; text: string }>();

const boot = (change: Partial<Boot> = {}): Boot => ({
  stream: "cam",
  title: "Camera",
  state: "offline",
  multivariant: null,
  playlist: null,
  price: { planck_per_s: "250000000", symbol: "UNIT", decimals: 12 },
  session: "00112233aabbccdd",
  top_up: { open: false, url: "" },
  expires_ms: Date.now() + 600_000,
  now_ms: Date.now(),
  ...change,
});

const answer = (page: string, change: Partial<Boot> = {}): void => {
  answers.set(page, { status: 200, text: JSON.stringify(boot(change)) });
};

/** Let what has been answered arrive. */
const arrive = async (): Promise<void> => {
  await vi.advanceTimersByTimeAsync(0);
};

class FakeSocket {
  constructor(url: string) {
    asked.push(url);
  }
  close(): void {
    asked.push("closed");
  }
}

const video = () =>
  ({
    addEventListener: vi.fn(),
    removeEventListener: vi.fn(),
    hasAttribute: () => false,
    pause: vi.fn(),
  }) as unknown as HTMLVideoElement;

const watch = (page: string): TickStream => {
  const stream = new TickStream({ video: video(), page, boot: null });
  stream.start();
  return stream;
};

beforeEach(() => {
  asked = [];
  answers.clear();
  vi.useFakeTimers();
  vi.stubGlobal("location", new URL("https://a.example/example/"));
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("document", new EventTarget());
  vi.stubGlobal("addEventListener", vi.fn());
  vi.stubGlobal("removeEventListener", vi.fn());
  vi.stubGlobal("fetch", (url: string, { method }: RequestInit) => {
    asked.push(`${method ?? ""} ${url}`);
    const answer = answers.get(url);
    return answer
      ? Promise.resolve(new Response(answer.text, { status: answer.status }))
      : Promise.reject(new TypeError("no network"));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("D1: a page without a boot", () => {
  const page = "https://a.example/w/t/cam/";

  it("asks the server what the stream is and costs, and says so, before it plays", async () => {
    answer(page);
    const stream = watch(page);
    const before = stream.snapshot();
    await arrive();
    const after = stream.snapshot();
    stream.destroy();

    expect(asked.slice(0, 2)).toEqual([`GET ${page}`, "wss://a.example/w/t/cam/meter"]);
    expect([before.isPriced, before.isPriceKnown]).toEqual([true, false]);
    expect(after).toMatchObject({
      isPriced: true,
      isPriceKnown: true,
      pricePlanck: "250000000",
      title: "Camera",
      session: "00112233aabbccdd",
      price: { symbol: "UNIT", decimals: 12 },
    });
  });

  it("fetches nothing while the server does not say what it costs, and asks again", async () => {
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(60_000);

    expect(new Set(asked)).toEqual(new Set([`GET ${page}`]));
    expect(asked.length).toBeGreaterThan(2);
    expect(stream.snapshot()).toMatchObject({ state: "reconnecting", isPriced: true });

    answer(page);
    await vi.advanceTimersByTimeAsync(20_000);
    stream.destroy();

    expect(stream.snapshot()).toMatchObject({ isPriceKnown: true, state: "offline" });
  });

  it("refuses to start where an answer does not name the price", async () => {
    for (const text of ["<!doctype html>", "{}", '{"stream": "cam", "price": {}}']) {
      answers.set(page, { status: 200, text });
      const stream = watch(page);
      await vi.advanceTimersByTimeAsync(60_000);
      stream.destroy();

      expect(stream.snapshot()).toMatchObject({ state: "denied", isPriced: true });
      expect(stream.snapshot().error).toMatch(/does not say what this stream costs/);
    }
    expect(new Set(asked)).toEqual(new Set([`GET ${page}`]));
  });

  it("tells a bad link in the server's words, and a closed stream", async () => {
    const problem = { reason: "expired", detail: "Ask for a new one where you got it." };
    answers.set(page, { status: 403, text: JSON.stringify(problem) });
    const denied = watch(page);
    await arrive();
    denied.destroy();
    answers.set(page, { status: 404, text: '{"reason": "closed"}' });
    const closed = watch(page);
    await arrive();
    closed.destroy();

    expect(denied.snapshot()).toMatchObject({
      ...{ state: "denied", reason: "expired", error: problem.detail },
    });
    expect(closed.snapshot()).toMatchObject({ state: "offline", reason: "closed" });
  });

  it("is free only when the server says so, and then has no meter without a token", async () => {
    const free = "https://a.example/cam/";
    answer(free, {
      session: null,
      price: { planck_per_s: "0", symbol: "UNIT", decimals: 12 },
    });
    const stream = watch(free);
    await arrive();
    stream.destroy();

    expect(stream.snapshot().isPriced).toBe(false);
    expect(asked.filter((url) => url.startsWith("wss"))).toEqual([]);
  });

  it("does not play after a pause that came before the answer", async () => {
    answer(page);
    const stream = watch(page);
    stream.pause();
    await arrive();
    stream.destroy();

    expect(stream.snapshot().state).toBe("paused");
    expect(asked.filter((url) => url.includes("index.m3u8"))).toEqual([]);
  });
});

describe("V14: a link of another stream on a free one", () => {
  it("opens no meter and knows why", async () => {
    const page = "https://a.example/w/t/free/";
    answer(page, {
      session: null,
      link: "stream",
      price: { planck_per_s: "0", symbol: "UNIT", decimals: 12 },
    });
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(30_000);
    stream.destroy();

    expect(stream.snapshot().link).toBe("stream");
    expect(asked.filter((url) => url.startsWith("wss"))).toEqual([]);
  });

  it("and a link that ends meanwhile: the meter is not tried indefinitely", async () => {
    const page = "https://a.example/w/t/free/";
    answer(page, { price: { planck_per_s: "0", symbol: "UNIT", decimals: 12 } });
    answers.set(`${page}session`, { status: 403, text: '{"reason": "expired"}' });
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(asked).toContain("closed");
    asked = [];
    await vi.advanceTimersByTimeAsync(600_000);
    stream.destroy();

    expect(asked.filter((url) => url.includes("/session") || url.startsWith("wss"))).toEqual([]);
  });
});

describe("a token", () => {
  it("is renewed at the page's own origin", async () => {
    const page = "https://a.example/w/t/cam/";
    answer(page);
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(490_000);
    stream.destroy();

    expect(asked).toContain(`POST ${page}session`);
  });

  const minted = (expiresMs: number, endsMs?: number): { status: number; text: string } => {
    const fields = { path: "/w/t/cam/", session: "00112233aabbccdd", expires_ms: expiresMs };
    return { status: 201, text: JSON.stringify({ ...fields, ends_ms: endsMs }) };
  };

  it("V4: is renewed half a minute before a short one ends, and never past the session's end", async () => {
    const page = "https://a.example/w/t/cam/";
    for (const isEndTold of [true, false]) {
      const endMs = Date.now() + 60_000;
      asked = [];
      answer(page, { expires_ms: endMs });
      answers.set(`${page}session`, minted(endMs, isEndTold ? endMs : undefined));
      const stream = watch(page);
      await vi.advanceTimersByTimeAsync(31_000);
      const early = asked.filter((request) => request.startsWith("POST"));
      await vi.advanceTimersByTimeAsync(60_000);
      stream.destroy();

      expect(early).toEqual([`POST ${page}session`]);
      expect(asked.filter((request) => request.startsWith("POST"))).toEqual(early);
    }
  });

  it("V4: that expires while the stream is awaited is told as expired", async () => {
    const page = "https://a.example/w/t/cam/";
    answer(page);
    answers.set(`${page}index.m3u8`, { status: 403, text: '{"reason": "expired"}' });
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(30_000);
    stream.destroy();

    expect(stream.snapshot()).toMatchObject({ state: "denied", reason: "expired" });
  });

  it("V4: whose renewal is refused as expired is told as expired", async () => {
    const page = "https://a.example/w/t/cam/";
    answer(page);
    answers.set(`${page}session`, { status: 403, text: '{"reason": "expired"}' });
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(600_000);
    stream.destroy();

    expect(stream.snapshot()).toMatchObject({ state: "denied", reason: "expired" });
  });

  it("whose renewal the operator's own server refuses is told in that server's words", async () => {
    const page = "https://a.example/w/t/cam/";
    const detail = "Your subscription has ended";
    answer(page);
    answers.set(`${page}index.m3u8`, { status: 401, text: '{"reason": "expired"}' });
    answers.set(`${page}session`, {
      status: 403,
      text: JSON.stringify({ reason: "hook", detail }),
    });
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(600_000);
    stream.destroy();

    expect(stream.snapshot()).toMatchObject({ state: "denied", error: detail });
  });

  it("D2: is renewed at another origin that the operator lists", async () => {
    const page = "https://b.example/w/t/cam/";
    answer(page, { is_origin_listed: true });
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(490_000);
    stream.destroy();

    expect(asked).toContain(`POST ${page}session`);
  });

  it("is never renewed at another origin: the new one could not be read, and the old one ends", async () => {
    const page = "https://b.example/w/t/cam/";
    answer(page);
    const stream = watch(page);
    await vi.advanceTimersByTimeAsync(3_600_000);
    stream.destroy();

    expect(asked).toContain("wss://b.example/w/t/cam/meter");
    expect(asked.filter((request) => request.startsWith("POST"))).toEqual([]);
  });
});
