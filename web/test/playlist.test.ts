import { describe, expect, it } from "vitest";

import { edgeTarget, firstVariant, partTargetOf, scanOpening } from "../sdk/playlist";

const playlist = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:3
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-MAP:URI="init-aa.mp4"
#EXTINF:2.0,
41-100x2.m4s
#EXT-X-PART:DURATION=0.5,URI="42.0-102x1.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="42.1-102x1.m4s"
#EXT-X-PART:DURATION=0.5,URI="42.2-103x1.m4s"
#EXT-X-PART:DURATION=0.5,URI="42.3-103x1.m4s"
#EXTINF:2.0,
42-102x2.m4s
#EXT-X-PART:DURATION=0.5,URI="43.0-104x1.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="43.1-104x1.m4s"
`;

describe("the opening of a playlist", () => {
  it("begins at the independent part at or before the target", () => {
    expect(scanOpening(playlist, 0.9)).toEqual({
      init: "init-aa.mp4",
      parts: [
        "42.0-102x1.m4s",
        "42.1-102x1.m4s",
        "42.2-103x1.m4s",
        "42.3-103x1.m4s",
        "43.0-104x1.m4s",
      ],
      behindS: 2.5,
    });
  });

  it("begins at the newest part when it is far enough back", () => {
    expect(scanOpening(playlist, 0.5).parts).toEqual(["43.0-104x1.m4s"]);
  });

  it("asks for nothing it could not begin with", () => {
    expect(scanOpening(playlist, 10).parts).toEqual([]);
    expect(scanOpening("#EXTM3U\n#EXTINF:2,\n1-1x2.m4s\n", 1)).toEqual({
      init: null,
      parts: [],
      behindS: 0,
    });
  });

  it("does not mix the parts of two inits", () => {
    const changed = playlist.replace(
      '#EXT-X-PART:DURATION=0.5,URI="43.0',
      '#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="init-bb.mp4"\n#EXT-X-PART:DURATION=0.5,URI="43.0',
    );

    expect(scanOpening(changed, 0.9)).toEqual({ init: "init-bb.mp4", parts: [], behindS: 0 });
  });

  it("never asks for the part that is only hinted", () => {
    expect(scanOpening(playlist, 0.5).parts).not.toContain("43.1-104x1.m4s");
  });

  it("knows the part target and the distance that goes with it", () => {
    expect(partTargetOf(playlist)).toBe(0.5);
    expect(partTargetOf("#EXTM3U")).toBeNull();
    expect(edgeTarget(0.5)).toBeCloseTo(0.9);
    expect(edgeTarget(0.2)).toBeCloseTo(0.5);
  });

  it("finds the first variant of a multivariant playlist", () => {
    const text = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="a,b"\n7/source/media.m3u8\n';
    expect(firstVariant(text)).toBe("7/source/media.m3u8");
    expect(firstVariant("#EXTM3U\n")).toBeNull();
  });
});
