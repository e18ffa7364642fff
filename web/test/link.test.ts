import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { hideLink } from "../app/link";

let kept: Map<string, string>;
let shown: string[];

beforeEach(() => {
  kept = new Map();
  shown = [];
  vi.stubGlobal("sessionStorage", {
    setItem: (name: string, path: string) => kept.set(name, path),
  });
  vi.stubGlobal("history", {
    replaceState: (_state: unknown, _title: string, path: string) => shown.push(path),
  });
});
afterEach(() => vi.unstubAllGlobals());

describe("V9: the address bar", () => {
  it("shows the public address; the link that spends is kept in the tab", () => {
    hideLink("/w/token/cam/");

    expect(shown).toEqual(["/cam/"]);
    expect([...kept]).toEqual([["vilokanam:link:cam", "/w/token/cam/"]]);
  });

  it("shows the link where the tab cannot keep it: a reload must not lose it", () => {
    vi.stubGlobal("sessionStorage", {
      setItem: () => {
        throw new DOMException("denied", "SecurityError");
      },
    });
    hideLink("/w/token/cam/");

    expect(shown).toEqual(["/w/token/cam/"]);
  });
});
