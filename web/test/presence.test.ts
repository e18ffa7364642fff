import { describe, expect, it } from "vitest";

import { absence, isAsking, parsePatience, PATIENCE, UNSEEN_MAX_MS } from "../sdk/presence";
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

  const { hiddenMs, askMs, answerMs } = PATIENCE;

  it("stops what nobody sees or hears", () => {
    const away = { ...seen, isHidden: true, isMuted: true, hiddenMs: hiddenMs + 1 };

    expect(absence(away, PATIENCE)).toBe("hidden");
    expect(absence({ ...away, hiddenMs }, PATIENCE)).toBeNull();
    expect(absence({ ...away, isMuted: false }, PATIENCE)).toBeNull();
    expect(absence({ ...away, isHidden: false }, PATIENCE)).toBeNull();
  });

  it("asks after hours without a sign of life, sooner when only the sound is there", () => {
    expect(isAsking({ ...seen, idleMs: askMs }, PATIENCE)).toBe(false);
    expect(isAsking({ ...seen, idleMs: askMs + 1 }, PATIENCE)).toBe(true);
    expect(isAsking({ ...seen, idleMs: UNSEEN_MAX_MS + 1 }, PATIENCE)).toBe(false);
    expect(isAsking({ ...seen, isHidden: true, idleMs: UNSEEN_MAX_MS + 1 }, PATIENCE)).toBe(true);
  });

  it("stops when the question had no answer", () => {
    expect(absence({ ...seen, idleMs: askMs + answerMs }, PATIENCE)).toBeNull();
    expect(absence({ ...seen, idleMs: askMs + answerMs + 1 }, PATIENCE)).toBe("idle");
  });

  it("does as the viewer set it on their account", () => {
    const text = '{"hidden_stop_s": 5, "ask_after_s": 600, "answer_s": 60}';
    const set = parsePatience(text);
    expect(set).toEqual({ hiddenMs: 5_000, askMs: 600_000, answerMs: 60_000 });
    const away = { ...seen, isHidden: true, isMuted: true, hiddenMs: 5_001 };
    expect(absence(away, set ?? PATIENCE)).toBe("hidden");
    expect(isAsking({ ...seen, idleMs: 600_001 }, set ?? PATIENCE)).toBe(true);
  });

  it("never does what the viewer set to never", () => {
    const never = parsePatience('{"hidden_stop_s": 0, "ask_after_s": 0, "answer_s": 60}');
    const forgotten = { isHidden: true, isMuted: true, hiddenMs: 1e12, idleMs: 1e12 };
    expect(absence(forgotten, never ?? PATIENCE)).toBeNull();
    expect(isAsking(forgotten, never ?? PATIENCE)).toBe(false);
  });

  it.each(["", "[]", "{}", '{"hidden_stop_s": -1, "ask_after_s": 1, "answer_s": 1}', '{"a": 1}'])(
    "takes no settings from %s",
    (text) => {
      expect(parsePatience(text)).toBeNull();
    },
  );
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
