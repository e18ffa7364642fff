import { afterEach, beforeEach, expect, it, vi } from "vitest";

import type { LoaderConfiguration, LoaderContext } from "hls.js/dist/hls.light.min.mjs";

const URL_OF_PART = "https://host/w/token/cam/1/720p/5.0-100x1.m4s";
const RETRY = { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 };

let answers: (() => Promise<Response>)[] = [];
const asked: RequestInit[] = [];

beforeEach(() => {
  asked.length = 0;
  vi.stubGlobal("self", globalThis);
  vi.stubGlobal("navigator", { onLine: true });
  vi.stubGlobal("status", ""); // hls.js reads the window's where it means an answer's
  vi.stubGlobal("fetch", (_url: string, init: RequestInit) => {
    asked.push(init);
    const answer = answers.shift() ?? (() => new Promise<Response>(() => undefined));
    return answer();
  });
});
afterEach(() => vi.unstubAllGlobals());

/** Load with `policy`; resolves with what hls.js hears first. */
async function load(
  queue: (() => Promise<Response>)[],
  policy: Partial<LoaderConfiguration["loadPolicy"]> = {},
  act: (loader: { abort(): void; destroy(): void }) => void = () => undefined,
): Promise<{ heard: string; data: unknown; body: string }> {
  const { FetchLoader } = await import("../sdk/fetch_loader");
  class Open extends FetchLoader {
    get body(): string {
      return this.refusal;
    }
  }
  answers = queue;
  const loader = new Open();
  const context = { url: URL_OF_PART, responseType: "arraybuffer", rangeStart: 0 } as LoaderContext;
  const loadPolicy = {
    maxTimeToFirstByteMs: 1000,
    maxLoadTimeMs: 1000,
    timeoutRetry: null,
    errorRetry: null,
    ...policy,
  };
  return new Promise((resolve) => {
    const hear = (heard: string, data: unknown = null): void =>
      resolve({ heard, data, body: loader.body });
    loader.load(context, { loadPolicy } as LoaderConfiguration, {
      onSuccess: ({ data }) => hear("success", data),
      onError: ({ code }) => hear(`error ${String(code)}`),
      onTimeout: () => hear("timeout"),
      onAbort: () => hear("abort"),
    });
    act(loader);
  });
}

const answer =
  (status: number, body = "") =>
  (): Promise<Response> =>
    Promise.resolve(new Response(body, { status }));
const nothing = (): Promise<Response> => Promise.reject(new TypeError("Failed to fetch"));

it("media is asked for without anybody's cookies", async () => {
  const { heard, data } = await load([answer(200, "moof")]);

  expect(heard).toBe("success");
  expect(new TextDecoder().decode(data as ArrayBuffer)).toBe("moof");
  expect(asked.map((init) => init.credentials)).toEqual(["omit"]);
});

it("a refusal comes with its body, and is not asked again", async () => {
  const { heard, body } = await load([answer(402, '{"reason":"purse"}')], { errorRetry: RETRY });

  expect([heard, body, asked.length]).toEqual(["error 402", '{"reason":"purse"}', 1]);
});

it("a fault of the server's is asked again, as often as the policy says", async () => {
  expect((await load([answer(500), answer(200)], { errorRetry: RETRY })).heard).toBe("success");
  expect((await load([answer(500), answer(502)], { errorRetry: RETRY })).heard).toBe("error 502");
  expect((await load([answer(500)])).heard).toBe("error 500");
});

it("where nothing answers, it is an error at once", async () => {
  expect((await load([nothing, answer(200)], { errorRetry: RETRY })).heard).toBe("error 0");
});

it("an answer that does not come is timed out, and its request ended", async () => {
  const { heard } = await load([], { maxTimeToFirstByteMs: 5 });

  expect(heard).toBe("timeout");
  expect(asked[0]?.signal?.aborted).toBe(true);
});

it("a body that does not end is timed out", async () => {
  const stuck = (): Promise<Response> =>
    Promise.resolve(new Response(new ReadableStream({ pull: () => new Promise(() => undefined) })));

  expect((await load([stuck], { maxLoadTimeMs: 5 })).heard).toBe("timeout");
});

it("who aborts hears that, and nothing more of the request", async () => {
  const { heard } = await load([answer(200)], {}, (loader) => loader.abort());

  expect(heard).toBe("abort");
  expect(asked[0]?.signal?.aborted).toBe(true);
});
