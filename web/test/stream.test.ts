import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TickStream } from "../sdk/stream";
import type { Boot } from "../sdk/types";

/** Requests and meter connections, in order. */
let asked: string[] = [];

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
  }) as unknown as HTMLVideoElement;

const watch = (page: string, boot: Boot | null = null): TickStream => {
  const stream = new TickStream({ video: video(), page, boot });
  stream.start();
  return stream;
};

beforeEach(() => {
  asked = [];
  vi.useFakeTimers();
  vi.stubGlobal("location", new URL("https://a.example/example/"));
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("fetch", (url: string, { method }: RequestInit) => {
    asked.push(`${method ?? ""} ${url}`);
    return Promise.reject(new TypeError("no network"));
  });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a page without a boot", () => {
  it("asks for the stream and its meter at once", () => {
    watch("https://a.example/w/t/cam/").destroy();

    expect(asked.slice(0, 2)).toEqual([
      "GET https://a.example/w/t/cam/index.m3u8",
      "wss://a.example/w/t/cam/meter",
    ]);
  });

  it("has no meter on a stream without a token", () => {
    watch("https://a.example/cam/").destroy();

    expect(asked).toEqual(["GET https://a.example/cam/index.m3u8"]);
  });

  it("renews its token at the page's own origin", () => {
    const stream = watch("https://a.example/w/t/cam/");

    vi.advanceTimersByTime(120_000);

    expect(asked).toContain("POST https://a.example/w/t/cam/session");
    stream.destroy();
  });

  it("never renews at another origin: the new token could not be read, and the old one ends", () => {
    const stream = watch("https://b.example/w/t/cam/");

    vi.advanceTimersByTime(3_600_000);

    expect(asked).toContain("wss://b.example/w/t/cam/meter");
    expect(asked.filter((request) => request.startsWith("POST"))).toEqual([]);
    stream.destroy();
  });
});
