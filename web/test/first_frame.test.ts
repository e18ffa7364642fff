import { beforeEach, describe, expect, it, vi } from "vitest";

import { FirstFrame } from "../sdk/first_frame";

/** An element that keeps who waits for a frame. */
class Element {
  callbacks: (() => void)[] = [];
  requestVideoFrameCallback(callback: () => void): number {
    return this.callbacks.push(callback);
  }
}

let video: Element;
let report: ReturnType<typeof vi.fn<(atMs: number) => void>>;
let first: FirstFrame;

beforeEach(() => {
  video = new Element();
  report = vi.fn();
  first = new FirstFrame(video as unknown as HTMLVideoElement, report);
  first.expect();
});

describe("R14: the first picture", () => {
  it("is the browser's first call, once", () => {
    for (const called of video.callbacks) called();
    first.look(0, true);
    first.look(9, true);

    expect([first.isHere, report.mock.calls.length]).toEqual([true, 1]);
  });

  it("is counted where the browser calls nobody, once the clock moves", () => {
    first.look(0, false);
    first.look(3, false);
    expect(first.isHere).toBe(false);

    first.look(9, true);
    expect(report).toHaveBeenCalledOnce();
  });

  it("is none of what was loaded before, whether the count goes on or begins anew", () => {
    first.look(0, true);
    first.look(9, true);

    first.expect();
    first.look(120, true);
    first.look(120, true);
    expect(first.isHere).toBe(false);
    first.look(0, true);
    first.look(1, true);
    expect([first.isHere, report.mock.calls.length]).toEqual([true, 2]);
  });

  it("is not counted where there are no frames to see", () => {
    first.look(null, true);
    first.look(null, true);

    expect(first.isHere).toBe(false);
  });
});
