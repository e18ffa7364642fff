"""What a broadcast's clock makes of frames: where it cuts, and what it takes for a break."""

from __future__ import annotations

from mediaserver.hls.segmenter import PartBegan
from mediaserver.hls.settings import HlsSettings
from mediaserver.live.broadcast_clock import BroadcastClock
from mediaserver.media import AccessUnit, Track

SPS = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
OTHER_SPS = bytes.fromhex("6742c01eda0280bfe584000003000400000300f03c58ba80")
PPS = bytes.fromhex("68ce3c80")
IDR = b"\x65\x88\x84\x01"
SLICE = b"\x41\x9a\x02\x03"
FRAMES_PER_GOP = 25


def breaks(gops: list[tuple[bytes, ...]], before_idr: tuple[bytes, ...] = ()) -> list[bool]:
    """Return, for each segment, whether it is a discontinuity; `gops` hold each IDR's sets."""
    clock = BroadcastClock(HlsSettings(), 150)
    clock.begin(0, has_video=True)
    found = []
    for number in range(FRAMES_PER_GOP * len(gops)):
        gop, frame = divmod(number, FRAMES_PER_GOP)
        payload = (*gops[gop], IDR) if frame == 0 else (SLICE,)
        if frame == FRAMES_PER_GOP - 1:
            payload = (*before_idr, *payload)
        unit = AccessUnit(Track.VIDEO, payload, number * 3600, 90000, frame == 0, number / 25)
        placed = clock.place(unit, 1_800_000_000_000 + number * 40, number / 25)
        events = clock.cut_by_picture(unit, placed.time, must_encode=False).events
        found += [
            event.is_discontinuity
            for event in events
            if isinstance(event, PartBegan) and event.slot.part == 0
        ]
    return found


def test_f06_repeated_and_partial_parameter_sets_break_nothing() -> None:
    """IDRs in turn with the pair, with the pair twice, and with the PPS alone."""
    found = breaks([(SPS, PPS), (SPS, PPS, SPS, PPS), (PPS,), ()] * 4)

    assert len(found) >= 7
    assert not any(found)


def test_f06_another_sps_is_one_break_wherever_it_came() -> None:
    """Sets that come with the frame before the IDR are known to both clock and pipeline."""
    assert breaks([(SPS, PPS), (), (OTHER_SPS, PPS), ()]).count(True) == 1
    assert breaks([(SPS, PPS), (), (), ()], before_idr=(OTHER_SPS,)).count(True) == 1
