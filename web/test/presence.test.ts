import { describe, expect, it } from "vitest";

import { absence, HIDDEN_MAX_MS, IDLE_MAX_MS, UNSEEN_MAX_MS } from "../sdk/presence";
import { Pulse, SLEEP_MS } from "../sdk/pulse";
import { ServerClock } from "../sdk/server_clock";

describe("V18: a page that slept", () => {
  const awake = { sleptMs: 0, jumpedMs: 0 };

  it("is told by its monotonic clock", () => {
    const pulse = new Pulse(0, 1_000_000);

    expect(pulse.beat(200, 1_000_200)).toEqual(awake);
    expect(pulse.beat(25_200, 1_025_200)).toEqual({ sleptMs: 25_000, jumpedMs: 0 });
    expect(pulse.beat(25_400, 1_025_400)).toEqual(awake);
  });

  it("R8: may have slept, or its clock was set, when the wall clock alone went ahead", () => {
    const pulse = new Pulse(25_200, 1_025_200);

    expect(pulse.beat(25_400, 1_625_200)).toEqual({ sleptMs: 0, jumpedMs: 600_000 });
    expect(pulse.beat(25_600, 1_625_400)).toEqual(awake);
  });

  it("is not a busy one, nor one whose clock was set back", () => {
    const pulse = new Pulse(0, 1_000_000);

    expect(pulse.beat(SLEEP_MS, 1_000_000 + SLEEP_MS)).toEqual(awake);
    expect(pulse.beat(SLEEP_MS + 200, 0)).toEqual(awake);
  });

  it("is noticed by the first who asks, and told once", () => {
    const pulse = new Pulse(0, 0);

    expect(pulse.gap(9_000, 9_000).sleptMs).toBe(9_000);
    expect(pulse.beat(9_000, 9_000).sleptMs).toBe(9_000);
    expect(pulse.gap(9_100, 9_100)).toEqual(awake);
  });
});

describe("V8: still there", () => {
  const seen = { isHidden: false, isMuted: false, hiddenMs: 0, idleMs: 0 };

  it("stops what nobody sees or hears", () => {
    const away = { ...seen, isHidden: true, isMuted: true, hiddenMs: HIDDEN_MAX_MS + 1 };

    expect(absence(away)).toBe("hidden");
    expect(absence({ ...away, hiddenMs: HIDDEN_MAX_MS })).toBeNull();
    expect(absence({ ...away, isMuted: false })).toBeNull();
    expect(absence({ ...away, isHidden: false })).toBeNull();
  });

  it("asks after hours without a sign of life, sooner when only the sound is there", () => {
    expect(absence({ ...seen, idleMs: IDLE_MAX_MS + 1 })).toBe("idle");
    expect(absence({ ...seen, idleMs: UNSEEN_MAX_MS + 1 })).toBeNull();
    expect(absence({ ...seen, isHidden: true, idleMs: UNSEEN_MAX_MS + 1 })).toBe("idle");
  });
});

describe("V19: the server's clock", () => {
  it("counts from what the server tells, not from the viewer's own clock", () => {
    const clock = new ServerClock(1_005_000, 0);
    clock.tell(1_000_000, 0);

    expect(clock.nowMs(2_000)).toBe(1_002_000);
  });

  it("believes the message that was least delayed, and goes on after a sleep", () => {
    const clock = new ServerClock(0, 0);
    clock.tell(1_000_000, 30);
    clock.tell(1_001_000, 2_500);
    expect(clock.nowMs(3_000)).toBe(1_002_970);

    clock.tell(1_601_000, 3_000);
    expect(clock.nowMs(3_000)).toBe(1_601_000);
  });
});
