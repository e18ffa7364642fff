import { describe, expect, it } from "vitest";

import { noticeFor } from "../app/messages";
import { Progress, STILL_MAX_MS } from "../sdk/progress";
import { shown } from "./shown";

describe("V7: a picture that does not move", () => {
  it("is seen by its clock", () => {
    const progress = new Progress();
    for (let ms = 0; ms <= 10_000; ms += 200) progress.look(ms, Math.min(ms, 1_000) / 1000, null);

    expect(progress.clockStillMs).toBe(9_000);
    expect(progress.clockStillMs).toBeGreaterThan(STILL_MAX_MS);
    progress.look(10_200, 1.2, null);
    expect(progress.clockStillMs).toBe(0);
  });

  it("is seen by its frames, while the sound goes on", () => {
    const progress = new Progress();
    for (let ms = 0; ms <= 9_000; ms += 200) progress.look(ms, ms / 1000, 30);

    expect(progress.clockStillMs).toBe(0);
    expect(progress.pictureStillMs).toBe(9_000);
    progress.look(9_200, 9.2, 31);
    expect(progress.pictureStillMs).toBe(0);
  });

  it("is not one that nobody can see: sound alone, a hidden page", () => {
    const progress = new Progress();
    for (let ms = 0; ms <= 9_000; ms += 200) progress.look(ms, ms / 1000, null);

    expect(progress.pictureStillMs).toBe(0);
  });

  it("has its time anew when media comes again after a lost connection", () => {
    const progress = new Progress();
    for (let ms = 0; ms <= 12_000; ms += 200) progress.look(ms, 5, 30, false);
    expect(progress.clockStillMs).toBe(12_000);

    for (let ms = 12_200; ms <= 20_000; ms += 200) progress.look(ms, 5, 30, true);
    expect(progress.isStill(true)).toBe(false);
    for (let ms = 20_200; ms <= 22_000; ms += 200) progress.look(ms, 5, 30, true);
    expect(progress.isStill(true)).toBe(true);
    expect(progress.isStill(false)).toBe(false);
    progress.look(22_200, 5.2, 31, true);
    expect(progress.isStill(true)).toBe(false);
  });

  it("is not one whose clock moves a moment before its first frame, after a long stall", () => {
    const progress = new Progress();
    for (let ms = 0; ms <= 20_000; ms += 200) progress.look(ms, 5, 30, false);
    progress.look(20_200, 24.5, 30, true);
    expect(progress.isStill(true)).toBe(false);

    for (let ms = 20_400; ms <= 28_000; ms += 200) progress.look(ms, ms / 1000 + 4.3, 30, true);
    expect(progress.isStill(true)).toBe(false);
    progress.look(28_400, 32.7, 30, true);
    expect(progress.isStill(true)).toBe(true);
  });

  it("is one that never came, though nothing more is fetched for it", () => {
    const progress = new Progress();
    for (let ms = 0; ms <= 7_000; ms += 200) progress.look(ms, ms / 1000, 0, true);
    for (let ms = 7_200; ms <= 8_000; ms += 200) progress.look(ms, 7, 0, false);
    expect(progress.isStill(false)).toBe(false);
    progress.look(8_400, 7, 0, false);
    expect(progress.isStill(false)).toBe(true);
  });

  it("is not the page's own delay", () => {
    const progress = new Progress();
    progress.look(0, 1, 1);
    progress.look(60_000, 1, 1);

    expect(progress.clockStillMs).toBe(1_000);
  });
});

describe("V6: no picture", () => {
  it("is told without blaming anybody, with a smaller picture where there is one", () => {
    const stuck = shown({ state: "stuck", reason: "no_picture", canPlaySmaller: true });
    const notice = noticeFor(stuck);

    expect(notice?.title).toBe("There is no picture yet");
    expect(notice?.text).toContain("Fetching has stopped, and so has the meter");
    expect(notice?.action).toEqual({ kind: "smaller", label: "Try a smaller picture" });
    expect(notice?.other).toEqual({ kind: "play", label: "Try again" });
    expect(noticeFor({ ...stuck, canPlaySmaller: false })?.action?.kind).toBe("play");
    expect(noticeFor({ ...stuck, reason: "frozen" })?.title).toBe("The picture stopped moving");
  });
});
