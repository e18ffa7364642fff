/** Responses requested before the player needs them. Shared by the inline script and the loader. */

/** One response; each is used once. */
export interface Early {
  data: Promise<ArrayBuffer | string>;
  /** `performance.now()` when it was requested and when it was complete; 0 until then. */
  startMs: number;
  endMs: number;
}

/** By absolute URL. */
export type EarlyMap = Map<string, Early>;

declare global {
  interface Window {
    __boot?: import("./types").Boot;
    __early?: EarlyMap;
  }
}

/** Keep a text that came with the page or a poll. */
export function keepText(map: EarlyMap, url: string, text: string): void {
  const now = performance.now();
  map.set(url, { data: Promise.resolve(text), startMs: now, endMs: now });
}

/** Fetch bytes now. A failed fetch rejects its promise; the player then makes its own request. */
export function fetchEarly(map: EarlyMap, url: string): void {
  const early: Early = { data: Promise.resolve(""), startMs: performance.now(), endMs: 0 };
  early.data = fetch(url, { credentials: "omit" }).then(async (response) => {
    if (!response.ok) throw new Error(String(response.status));
    const bytes = await response.arrayBuffer();
    early.endMs = performance.now();
    return bytes;
  });
  early.data.catch(() => undefined);
  map.set(url, early);
}
