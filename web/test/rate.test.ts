import { beforeEach, describe, expect, it, vi } from "vitest";

import { Rate } from "../sdk/rate";

/** An element as WebKitGTK has it: a new rate unmutes it, and one too soon after it is not played. */
class Element {
  muted = true;
  play = vi.fn(() => Promise.resolve());
  played = 1;
  #rate = 1;
  #changedMs = Number.NEGATIVE_INFINITY;
  get playbackRate(): number {
    return this.#rate;
  }
  set playbackRate(rate: number) {
    this.#rate = rate;
    if (nowMs - this.#changedMs > 40) this.played = rate;
    this.#changedMs = nowMs;
    this.muted = false;
  }
}

let nowMs = 0;
const rated = (video: object) => new Rate(video as HTMLVideoElement, () => nowMs);

beforeEach(() => {
  nowMs = 0;
});

describe("R14: the rate, where it unmutes the element", () => {
  it("stays muted until a click, and is set back to 1 for good once the element has settled", () => {
    const video = new Element();
    const rate = rated(video);

    rate.set(1.25);
    expect([video.muted, rate.isSafe]).toEqual([true, false]);
    for (nowMs = 50; nowMs <= 2_000; nowMs += 50) rate.set(1.1);
    expect([video.playbackRate, video.played, video.muted]).toEqual([1, 1, true]);
    rate.want(false);
    rate.hold();
    rate.set(1.1);
    expect([video.playbackRate, video.played, video.muted]).toEqual([1, 1, false]);
  });

  it("plays on when the browser paused for it, once for each change", () => {
    const video = new Element();
    const rate = rated(video);

    rate.set(1.1);
    nowMs = 300;
    expect(rate.resume(vi.fn())).toBe(true);
    expect(video.play).toHaveBeenCalledOnce();
    expect(rate.resume(vi.fn())).toBe(false);
    nowMs = 600;
    rate.set(1);
    expect([rate.resume(vi.fn()), rate.resume(vi.fn())]).toEqual([true, false]);
  });

  it("lets every other pause be, also just after a change (V17)", () => {
    const video = { muted: true, playbackRate: 1, play: vi.fn() };
    const rate = rated(video);

    rate.set(1.1);
    expect(rate.resume(vi.fn())).toBe(false);
    expect(video.play).not.toHaveBeenCalled();
  });

  it("changes freely where nothing follows from it", () => {
    const video = { muted: true, playbackRate: 1 };
    const rate = rated(video);

    rate.set(1.1);
    nowMs = 5_000;
    rate.set(1);

    expect([video.playbackRate, rate.isSafe]).toEqual([1, true]);
  });
});
