"""Seconds are the server's: whatever the publisher's time stamps say, none is used up early."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mediaserver.hls.slots import LEAD_MAX_MS
from mediaserver.ingest.session import EndReason
from mediaserver.ipc.messages import Health, PartMade, SlotOpened
from mediaserver.live.clock_wait import until_due
from mediaserver.live.show_state import ShowState
from mediaserver.live.timeline import Timeline
from mediaserver.media import AccessUnit, Track
from tests.support.broadcast_harness import (
    NOW_MS,
    SPS,
    BroadcastHarness,
    FakeFile,
    broadcasts,
    check_link,
    settle,
)
from tests.support.clock import FakeClock

NOW = 1_800_000_000_123
SOUND = frozenset({Track.AUDIO})


@pytest.fixture
async def make_broadcast():
    async with broadcasts() as make:
        yield make


def video(rtp_time: int) -> AccessUnit:
    return AccessUnit(Track.VIDEO, (), rtp_time, 90_000, True, 0.0)


def audio(rtp_time: int) -> AccessUnit:
    return AccessUnit(Track.AUDIO, (), rtp_time, 48_000, True, 0.0)


def rtp_of(kind: str, ms: int) -> int:
    """What a publisher whose stamps do not follow the clock says at `ms`, in ms."""
    match kind:
        case "jumps":  # each just short of what is taken for absent media
            return ms + ms // 2000 * 1100
        case "leaps":  # an hour, each ten seconds
            return ms + ms // 10_000 * 3_600_000
        case "frozen":
            return 0
    return round(ms * float(kind))


KINDS = ["1.2", "2", "30", "1.01", "0.5", "0.8", "jumps", "leaps", "frozen"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("track", list(Track))
def test_a_h1_nothing_is_placed_further_ahead_than_the_lead(kind: str, track: Track) -> None:
    """Two minutes of the clock are never more than two minutes of a bill."""
    timeline = Timeline(0)
    per_ms = 1 if track is Track.VIDEO else 48
    times = []
    for ms in range(0, 120_000, 20):
        rtp_ms = rtp_of(kind, ms)
        if track is Track.VIDEO:
            placed = timeline.video(video(rtp_ms * 90), NOW + ms)
        else:
            placed = timeline.audio(audio(rtp_ms * 48), NOW + ms)
        if not placed.is_left_out:
            times.append(placed.time)
            assert placed.time <= (NOW + ms + LEAD_MAX_MS) * per_ms

    assert all(a < b for a, b in pairwise(times))
    ticks = {time // per_ms // 1000 for time in times}
    assert len(ticks) <= 120 + LEAD_MAX_MS // 1000 + 1


def test_a_h1_sound_that_runs_fast_alone_leaves_the_picture_alone() -> None:
    """Only the sound is cut; the picture goes on without a break, and the sound comes back."""
    timeline = Timeline(0)
    breaks = lefts = 0
    newest = 0
    for ms in range(0, 60_000, 20):
        if ms % 40 == 0:
            placed = timeline.video(video(ms * 90), NOW + ms)
            breaks += placed.is_discontinuity or placed.is_left_out
        heard = timeline.audio(audio(round(ms * 1.2) * 48), NOW + ms)
        lefts += heard.is_left_out
        if not heard.is_left_out:
            assert newest < heard.time <= (NOW + ms + LEAD_MAX_MS) * 48
            newest = heard.time

    assert breaks == 0
    assert 0 < lefts < 1500
    assert newest > (NOW + 50_000) * 48


def test_a_h1_a_publisher_who_catches_up_after_a_hiccup_is_not_cut() -> None:
    """Frames that come 2.5 s late at first put the timeline ahead of the clock: it is slewed."""
    timeline = Timeline(0)
    placed = []
    for ms in range(0, 1_500_000, 40):
        late_ms = max(0, 2500 - ms)
        placed.append(timeline.video(video(ms * 90), NOW + ms + late_ms))

    assert not any(one.is_left_out or one.is_discontinuity for one in placed)
    assert abs(placed[-1].time - (NOW + ms)) <= 50


async def play_fast(harness, seconds: float, speed: float, *, has_video: bool = True) -> None:
    """Send media whose stamps run at `speed`, and look at every slot when it opens."""
    seen = len(harness.of(SlotOpened))
    for _ in range(round(seconds * 25)):
        if harness.ended is not None:
            return
        now_s, rtp_ms = harness.clock.monotonic(), round(harness.ms * speed)
        if has_video:
            is_idr = harness.frame % 50 == 0
            body = ((SPS, b"\x68\xce") if is_idr else ()) + (b"\x65" + b"\x88" * 20,)
            unit = AccessUnit(Track.VIDEO, body, rtp_ms * 90, 90_000, is_idr, now_s)
            harness.broadcast.access_unit(unit)
            harness.frame += 1
        for half in (0, 20):
            rtp = (rtp_ms + round(half * speed)) * 48
            harness.broadcast.access_unit(
                AccessUnit(Track.AUDIO, (b"o",), rtp, 48_000, True, now_s)
            )
        harness.broadcast.poll()
        await settle()
        for message in harness.of(SlotOpened)[seen:]:
            assert message.slot.start_ms <= harness.clock.wall_ms + LEAD_MAX_MS
            seen += 1
        harness.ms += 40
        harness.clock.move(0.04)


@pytest.mark.parametrize("has_video", [True, False])
async def test_a_h1_a_fast_publisher_is_cut_told_and_ended(make_broadcast, has_video):
    """A minute costs no more than a minute; the creator reads why, and in the end it is over."""
    harness = await make_broadcast(frozenset(Track) if has_video else SOUND)

    await play_fast(harness, 60, 1.2, has_video=has_video)

    health = harness.broadcast.health()
    assert health.facts["time_cuts"] == 3
    assert "run ahead of the clock" in health.advice[0]
    name = "source" if has_video else "audio"
    ticks = {
        tick
        for m in harness.of(PartMade, name)
        for tick in range(m.part.slot.first_tick, -(-m.part.end_ms // 1000))
    }
    assert len(ticks) <= 60 + LEAD_MAX_MS // 1000 + 1
    assert harness.ended is None

    await play_fast(harness, 30, 1.2, has_video=has_video)

    assert harness.ended is EndReason.TIME_STAMPS
    assert harness.of(Health)[-1].state == "waiting"
    assert "Your session was ended" in harness.broadcast.health().advice[0]
    check_link(harness.messages)


async def test_a_h1_stamps_that_stand_still_are_told(make_broadcast):
    """They cost viewers nothing, and the creator what is wrong."""
    harness = await make_broadcast()

    await play_fast(harness, 30, 0)

    assert harness.ended is None
    assert "do not follow the clock" in harness.broadcast.health().advice[0]


async def test_a_h1_a_stream_planned_ahead_of_the_clock_says_both_times(make_broadcast):
    """The machine's clock was wrong and was set right: the creator reads since when, until when."""
    state = ShowState(
        show=1_800_000_000,
        msn=41,
        planned_end_ms=NOW_MS + 3_600_000,
        discontinuity_sequence=0,
        origin_ms=NOW_MS,
        audio_only=False,
        part_target_ms=500,
        target_duration_s=3,
    )
    harness = BroadcastHarness(file=FakeFile(state))
    await harness.broadcast.start()

    early = await until_due(harness.broadcast.writer.floor_ms, harness.clock)

    assert "2027-01-15 09:00:01 UTC" in early
    assert "2027-01-15 08:00:00 UTC" in early
    assert harness.broadcast.health().advice == (early,)
    harness.clock.move(3600)
    assert await until_due(harness.broadcast.writer.floor_ms, harness.clock) == ""
    assert harness.broadcast.health().advice == ()


async def test_a_h1_a_segment_that_was_open_is_waited_for(make_broadcast):
    """A killed worker's show goes on a moment later; nobody is refused for it."""
    clock = FakeClock(NOW_MS, leap_s=0)

    class Waits(FakeClock):
        def now_ms(self) -> int:
            self.move(0.1)
            return self.wall_ms

    waiting = Waits(NOW_MS)
    assert await until_due(NOW_MS + LEAD_MAX_MS + 200, waiting) == ""
    assert await until_due(NOW_MS + LEAD_MAX_MS, clock) == ""
    assert "nothing can be" in await until_due(NOW_MS + LEAD_MAX_MS + 60_000, clock)
