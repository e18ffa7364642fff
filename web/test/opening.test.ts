import { describe, expect, it } from "vitest";

import { noticeFor, statusLine } from "../app/messages";
import { LATE_MS, Opening } from "../sdk/opening";
import type { State } from "../sdk/snapshot";
import { shown } from "./shown";

const NOTHING = { hasPlaylist: false, isHolding: false };

describe("a start that gets no media", () => {
  const after = (ms: number, player = NOTHING, state: State = "loading"): unknown => {
    const opening = new Opening();
    opening.look(1_000, state, player);
    return opening.look(1_000 + ms, state, player);
  };

  it("says after a while what is missing", () => {
    expect(after(LATE_MS - 1)).toBeNull();
    expect(after(LATE_MS)).toBe("no_answer");
    expect(after(LATE_MS, { ...NOTHING, hasPlaylist: true })).toBe("no_media");
  });

  it("says nothing where media is here, or another state tells it", () => {
    expect(after(LATE_MS, { hasPlaylist: true, isHolding: true })).toBeNull();
    expect(after(LATE_MS, NOTHING, "reconnecting")).toBeNull();
  });

  it("has its time anew after a click", () => {
    const opening = new Opening();
    opening.look(0, "loading", NOTHING);
    opening.restart();
    expect(opening.look(LATE_MS, "loading", NOTHING)).toBeNull();
    expect(opening.look(2 * LATE_MS, "loading", NOTHING)).toBe("no_answer");
  });

  it("is told with a way on, and blames nobody", () => {
    const late = shown({ state: "loading", reason: "no_media", canPlaySmaller: true });

    expect(statusLine(late)).toBe("Opening. No picture has come yet");
    expect(noticeFor(late)?.action).toEqual({ kind: "smaller", label: "Try a smaller picture" });
    expect(noticeFor({ ...late, canPlaySmaller: false })?.action?.kind).toBe("play");
    expect(noticeFor({ ...late, reason: "no_answer" })?.title).toMatch(/has not answered/);
    const early = noticeFor({ ...late, reason: null });
    expect([early?.title, early?.action]).toEqual(["", null]);
  });
});
