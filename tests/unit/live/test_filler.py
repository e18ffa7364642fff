"""What viewers get while no publisher is there."""

from __future__ import annotations

import itertools
import re

import pytest

from mediaserver.hls import playlist
from mediaserver.hls.rendition_window import Window
from mediaserver.hls.show_view import ShowView
from mediaserver.ipc.messages import PartMade, SegmentEnded, ShowEnded, ShowOpened, SlotOpened
from mediaserver.media import Track
from tests.support import cmaf_reader
from tests.support.broadcast_harness import BOTH, OTHER_SPS, broadcasts, check_link, settle


@pytest.fixture
async def make_broadcast():
    async with broadcasts() as make:
        yield make


async def lose(harness, away_s):
    """Play, lose the publisher, and let so much time pass."""
    await harness.play(3.5)
    harness.broadcast.publisher_gone("s1", "media_timeout")
    for _ in range(round(away_s * 10)):
        harness.wait(0.1)
        harness.ms += 100
        await settle()


async def come_back(harness, **how):
    harness.frame = 0
    harness.ms = -(-harness.ms // 40) * 40
    harness.broadcast.publisher_connected("s2", BOTH, "OBS-Studio/32.0")
    await harness.play(5, **how)


def view_of(harness) -> ShowView:
    """Return what an HTTP process makes of it all."""
    opened, *rest = harness.messages
    assert isinstance(opened, ShowOpened)
    view = ShowView(Window(opened))
    for message in rest:
        view.apply(message)
    return view


async def test_r3_a_lost_publisher_leaves_no_hole_and_no_break(make_broadcast):
    """Players that do not find their way over one (shaka, VLC) go on too."""
    harness = await make_broadcast()

    await lose(harness, 9)
    await come_back(harness)

    window = view_of(harness).window
    for name in ("source", "360p", "audio"):
        listed = window.listed(name)
        assert sum(entry.parts[0].slot.is_filler for entry in listed) >= 4
        for entry, following in itertools.pairwise(listed):
            assert entry.end_ms == following.start_ms
        assert not any(entry.is_discontinuity or entry.is_gap for entry in listed)
        assert all(entry.parts[0].is_independent for entry in listed)
        assert "#EXT-X-PRELOAD-HINT" in playlist.media(window, name)
    check_link(harness.messages)


async def test_r3_what_fills_the_time_is_nobodys_to_pay(make_broadcast):
    """Its addresses name no second, and its media has none to claim."""
    harness = await make_broadcast()

    await lose(harness, 6)
    await come_back(harness)

    view = view_of(harness)
    filled = {m.slot.msn for m in harness.of(SlotOpened) if m.slot.is_filler}
    real = {m.slot.msn for m in harness.of(SlotOpened) if not m.slot.is_filler}
    assert filled
    assert not filled & real
    assert {place.msn for place in view.media} >= filled
    for place, media in view.media.items():
        assert (place.tick_count == 0) == (place.msn in filled)
        assert bool(media.run and media.run.count) == (place.msn not in filled)
        assert media.ticks.endswith("x0") == (place.msn in filled)
    uris = re.findall(
        r"^(\d+)-\d+x(\d+)\.m4s$", playlist.media(view.window, "source"), re.MULTILINE
    )
    assert {int(msn) for msn, count in uris if count == "0"} == filled


async def test_r3_each_part_of_it_shows_a_picture_and_sounds(make_broadcast):
    """Who joins while the publisher is away sees its last picture at once."""
    harness = await make_broadcast()

    await lose(harness, 6)

    parts = [m.part for m in harness.of(PartMade, "360p") if m.part.slot.is_filler]
    assert len(parts) >= 8
    for part in parts:
        tracks = [run.track for run in cmaf_reader.read_chunk(part.payload).runs]
        assert tracks == [1, 2]
        assert part.is_independent or part.slot.part


async def test_r3_another_picture_is_a_break_without_a_hole(make_broadcast):
    """Its decoder begins anew, at the instant at which ours ended."""
    harness = await make_broadcast()

    await lose(harness, 6)
    await come_back(harness, sps=OTHER_SPS)

    window = view_of(harness).window
    breaks = [entry for entry in window.listed("source") if entry.is_discontinuity]
    assert len(breaks) == 1
    before = next(e for e in window.listed("source") if e.msn == breaks[0].msn - 1)
    assert before.end_ms == breaks[0].start_ms
    check_link(harness.messages)


async def test_r3_a_publisher_that_stays_away_ends_the_show(make_broadcast):
    """The list ends with what was shown last."""
    harness = await make_broadcast()

    await lose(harness, 61)
    for _ in range(20):
        await settle()

    assert harness.is_over
    assert isinstance(harness.messages[-1], ShowEnded)
    assert harness.of(SegmentEnded, "source")[-1].msn == harness.of(SlotOpened)[-1].slot.msn


async def test_r3_who_comes_back_with_sound_only_breaks_time_as_before(make_broadcast):
    """Nothing of ours is mixed with what a publisher sends."""
    harness = await make_broadcast()

    await lose(harness, 6)
    harness.broadcast.publisher_connected("s2", frozenset({Track.AUDIO}), "OBS-Studio/32.0")
    await harness.play(5, video=False)

    newest = harness.of(SlotOpened)[-1].slot
    assert not newest.is_filler
    check_link(harness.messages)
