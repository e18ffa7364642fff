"""One stream's show: what its publisher's comings, goings and habits mean for viewers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mediaserver.ipc.messages import (
    Health,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.live.show_state import ShowState
from tests.support.broadcast_harness import (
    BOTH,
    NOW_MS,
    OTHER_SPS,
    BroadcastHarness,
    FakeFile,
    broadcasts,
    check_link,
    settle,
)


@pytest.fixture
async def make_broadcast():
    async with broadcasts() as make:
        yield make


async def test_show_opens_with_the_first_keyframe(make_broadcast):
    """Viewers get a show whose number is the second of its first tick, with all renditions."""
    harness = await make_broadcast()

    await harness.play(7)

    opened = harness.of(ShowOpened)
    assert len(opened) == 1
    assert opened[0].show == NOW_MS // 1000
    assert not opened[0].audio_only
    assert harness.broadcast.writer.number == opened[0].show
    assert [r.name for r in harness.of(RenditionsSet)[0].renditions] == ["source", "360p", "audio"]
    assert [m.msn for m in harness.of(SegmentEnded, "360p")] == [0, 1, 2]
    assert len(harness.of(PartMade, "audio")) >= 12
    source = harness.of(RenditionsSet)[-1].renditions[0]
    assert source.codecs == ("avc1.x", "mp4a.40.2")
    assert (source.width, source.height, source.frame_rate_milli) == (320, 180, 25_000)
    check_link(harness.messages)


async def test_bandwidth_covers_every_segment(make_broadcast):
    """BANDWIDTH is the peak of what was sent, rounded up, and is not sent again without need."""
    harness = await make_broadcast()

    await harness.play(13)

    sent = harness.of(RenditionsSet)
    assert len(sent) <= 3
    source = sent[-1].renditions[0]
    sizes: dict[int, list[int]] = {}
    for message in harness.of(PartMade, "source"):
        sizes.setdefault(message.part.slot.msn, [0, 0])
        sizes[message.part.slot.msn][0] += len(message.part.payload)
        sizes[message.part.slot.msn][1] += message.part.duration_us
    peaks = [size * 8_000_000 // us for size, us in sizes.values() if us >= 1_900_000]
    assert max(peaks) <= source.bandwidth_bps <= max(peaks) * 1.3
    assert source.average_bandwidth_bps <= source.bandwidth_bps


async def test_rungs_make_an_idr_where_segments_begin(make_broadcast):
    """Players switch renditions at segment borders."""
    harness = await make_broadcast()

    await harness.play(7)

    begins = [m.slot.start_ms for m in harness.of(SlotOpened) if m.slot.part == 0]
    assert harness.pipeline.forced == begins


async def test_nothing_is_published_before_it_is_on_the_disk(make_broadcast):
    """A crash right after a segment opened can never hand out its numbers again."""
    harness = await make_broadcast()
    harness.file.gate.clear()

    await harness.play(1)
    before = list(harness.messages)
    harness.file.gate.set()
    await settle()

    assert before == []
    assert isinstance(harness.messages[0], ShowOpened)
    state = harness.file.saved[0]
    assert state.msn == 0
    assert state.planned_end_ms >= max(
        m.slot.planned_end_ms for m in harness.of(SlotOpened) if m.slot.msn == 0
    )
    check_link(harness.messages)


async def test_publisher_who_comes_back_goes_on_with_the_show(make_broadcast):
    """A reconnect keeps show and numbers; what fills the time between shares no second with it."""
    harness = await make_broadcast()
    await harness.play(3)
    last = harness.of(SlotOpened)[-1].slot
    harness.broadcast.publisher_gone("s1", "media_timeout")
    await settle()
    assert harness.of(SegmentEnded, "source")[-1].msn == last.msn
    assert harness.of(Health)[-1].state == "waiting"
    harness.wait(10)
    harness.frame = 0

    harness.broadcast.publisher_connected("s2", BOTH, "OBS-Studio/32.0")
    await harness.play(3)

    opened = [m for m in harness.of(SlotOpened) if m.slot.msn > last.msn]
    after = next(m for m in opened if not m.slot.is_filler)
    assert not any(m.is_discontinuity for m in opened)
    assert after.slot.first_tick >= last.first_tick + last.tick_count
    assert after.slot.start_ms >= harness.clock.wall_ms - 3100
    assert len(harness.of(ShowOpened)) == 1
    assert harness.pipeline.restarts == 0
    assert {m.part.rendition for m in harness.of(PartMade) if m.part.slot.msn > last.msn} == {
        "source",
        "360p",
        "audio",
    }
    check_link(harness.messages)


async def test_r1_a_publisher_lost_before_a_second_began_does_not_bill_it(make_broadcast):
    """The last part was planned over the second's end: it holds less, and the book hears of it."""
    harness = await make_broadcast()

    await harness.play(3.52)
    harness.broadcast.publisher_gone("s1", "media_timeout")
    await settle()

    parts = [m.part for m in harness.of(PartMade, "source")]
    last = [part for part in parts if not part.slot.is_filler][-1]
    assert last.slot.tick_count == 2
    assert last.end_ms <= (last.slot.first_tick + 1) * 1000
    (cut,) = harness.broadcast.writer.cut_short
    assert (cut.show, cut.slot) == (harness.broadcast.writer.number, last.slot)
    assert cut.held_count == 1


async def test_r1_what_goes_on_at_once_is_not_cut_short(make_broadcast):
    """A part that a keyframe ends early lost nothing: the next one carries the second."""
    harness = await make_broadcast()

    await harness.play(60, gop=37)

    ends = {m.slot: m for m in harness.of(SlotOpened)}
    early = [m.part for m in harness.of(PartMade, "source") if m.part.slot in ends]
    assert any(part.end_ms <= (part.slot.planned_end_ms - 1) // 1000 * 1000 for part in early)
    assert not harness.broadcast.writer.cut_short


async def test_show_ends_when_the_publisher_stays_away(make_broadcast):
    """After reconnect_wait_s viewers get ENDLIST and the worker may go."""
    harness = await make_broadcast()
    await harness.play(3)
    harness.broadcast.publisher_gone("s1", "deleted")
    await settle()

    harness.wait(59)
    await settle()
    assert not harness.is_over
    harness.wait(2)
    for _ in range(20):
        await settle()

    assert harness.is_over
    assert isinstance(harness.messages[-1], ShowEnded)
    assert harness.of(Health)[-1].state == "ended"
    assert harness.file.saved[-1].ended
    assert harness.pipeline.is_closed


async def test_worker_without_publisher_gives_up(make_broadcast):
    """A WHIP session that never gets through does not hold a worker indefinitely."""
    harness = BroadcastHarness()
    await harness.broadcast.start()

    harness.wait(61)
    await settle()

    assert harness.is_over
    assert harness.messages == []


def kept(**changes):
    state = ShowState(
        show=1_799_999_990,
        msn=41,
        planned_end_ms=NOW_MS + 1500,
        discontinuity_sequence=2,
        origin_ms=NOW_MS - 90_000,
        audio_only=False,
        part_target_ms=500,
        target_duration_s=3,
    )
    return replace(state, **changes)


async def test_new_worker_goes_on_with_the_kept_show(make_broadcast):
    """After a restart the show has the next number, and begins past every second planned before."""
    harness = await make_broadcast(file=FakeFile(kept()))

    await harness.play(1)

    opened, slot = harness.of(ShowOpened)[0], harness.of(SlotOpened)[0]
    assert (opened.show, opened.discontinuity_sequence) == (1_799_999_990, 2)
    assert (slot.slot.msn, slot.slot.part, slot.is_discontinuity) == (42, 0, True)
    assert slot.slot.start_ms >= NOW_MS + 1600
    assert harness.file.saved[-1].discontinuity_sequence == 3
    assert harness.file.saved[-1].origin_ms == NOW_MS - 90_000
    check_link(harness.messages)


@pytest.mark.parametrize(
    "changes",
    [{"ended": True}, {"planned_end_ms": NOW_MS - 61_000}, {"part_target_ms": 400}],
    ids=["ended", "too long ago", "other constants"],
)
async def test_new_show_begins_where_the_kept_one_cannot_go_on(make_broadcast, changes):
    """Its number is new, and it is greater than the last one."""
    harness = await make_broadcast(file=FakeFile(kept(show=NOW_MS // 1000 + 5, **changes)))

    await harness.play(1)

    assert harness.of(ShowOpened)[0].show == NOW_MS // 1000 + 6
    assert harness.of(SlotOpened)[0].slot.msn == 0
    assert not harness.of(SlotOpened)[0].is_discontinuity


async def test_replay_tells_a_new_http_process_the_whole_window(make_broadcast):
    """An HTTP process that connects late lists what the others list."""
    harness = await make_broadcast()
    await harness.play(60)

    sent = harness.broadcast.writer.replay()

    assert isinstance(sent[0], ShowOpened)
    kept_ms = [m.slot.start_ms for m in sent if isinstance(m, SlotOpened)]
    assert 39_000 <= kept_ms[-1] - kept_ms[0] <= 42_000
    assert isinstance(sent[-1], Health)
    assert len([m for m in sent if isinstance(m, RenditionsSet)]) == 1
    check_link(sent)


async def test_replay_counts_the_discontinuities_it_left_out(make_broadcast):
    """EXT-X-DISCONTINUITY-SEQUENCE is the same in an HTTP process that came later."""
    harness = await make_broadcast()
    await harness.play(3)
    harness.broadcast.publisher_gone("s1", "deleted")
    harness.wait(5)
    harness.frame = 0
    harness.broadcast.publisher_connected("s2", BOTH, "OBS-Studio/32.0")

    await harness.play(50, sps=OTHER_SPS)

    sent = harness.broadcast.writer.replay()
    assert not any(m.is_discontinuity for m in sent if isinstance(m, SlotOpened))
    assert sent[0].discontinuity_sequence == 1


async def test_drain_leaves_the_show_to_be_continued(make_broadcast):
    """A restart of the server is a break for viewers, not the end."""
    harness = await make_broadcast()
    await harness.play(3.5)

    await harness.broadcast.drain(end_show=False)

    # V12: nobody is told that the publisher left.
    assert harness.of(Health)[-1].state == "restarting"
    assert harness.of(ShowEnded) == []
    assert not harness.file.saved[-1].ended
    assert harness.of(SegmentEnded, "source")[-1].msn == harness.of(SlotOpened)[-1].slot.msn
    assert harness.pipeline.is_closed


async def test_drain_ends_the_show_when_told(make_broadcast):
    """An operator who stops a stream gives viewers an end."""
    harness = await make_broadcast()
    await harness.play(3.5)

    await harness.broadcast.drain(end_show=True)

    assert isinstance(harness.messages[-1], ShowEnded)
    assert harness.file.saved[-1].ended


async def test_health_is_told_every_two_seconds(make_broadcast):
    """The creator sees the numbers of the moment."""
    harness = await make_broadcast()

    await harness.play(9)

    sent = harness.of(Health)
    assert 4 <= len(sent) <= 6
    assert sent[-1].state == "live"
    assert sent[-1].facts["fps"] == 25
    assert sent[-1].facts["gop_s"] == 2
    assert sent[-1].facts["renditions"] == 3
    assert sent[-1].facts["upload_loss_percent"] == 0.0
    assert sent[-1].advice == ()
