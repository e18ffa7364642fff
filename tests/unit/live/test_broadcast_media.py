"""What a broadcast makes of pictures and sound that are odd, late or missing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mediaserver.hls import playlist
from mediaserver.hls.cmaf import AUDIO_TRACK
from mediaserver.ipc.messages import (
    Health,
    InitMade,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Track
from tests.support import cmaf_reader
from tests.support.broadcast_harness import OTHER_SPS, broadcasts, check_link, settle
from tests.support.builders import heard


@pytest.fixture
async def make_broadcast():
    async with broadcasts() as make:
        yield make


async def test_long_gop_is_encoded_again_in_time(make_broadcast):
    """OBS without a keyframe interval still gives legal segments, and its creator reads why."""
    harness = await make_broadcast()

    await harness.play(12, gop=10_000)

    ended = harness.of(SegmentEnded, "source")
    assert len(ended) >= 4
    assert all(m.duration_us < 3_500_000 for m in ended)
    assert [m.is_discontinuity for m in harness.of(SlotOpened) if m.slot.part == 0][:3] == [
        False,
        True,
        False,
    ]
    assert len(harness.of(InitMade, "source")) == 2
    assert harness.pipeline.is_encoding
    assert harness.keyframes_asked > 0
    assert any("Keyframe interval: set 2 s" in a for a in harness.of(Health)[-1].advice)
    check_link(harness.messages)


async def test_source_is_passed_through_again_when_its_keyframes_fit(make_broadcast):
    """A creator who mends the setting gets the picture back untouched, without a restart."""
    harness = await make_broadcast()
    await harness.play(6, gop=10_000)
    assert harness.pipeline.is_encoding
    harness.frame = 0

    await harness.play(14, gop=50)

    assert not harness.pipeline.is_encoding
    assert len([m for m in harness.of(SlotOpened) if m.is_discontinuity]) == 2
    check_link(harness.messages)


async def test_b_frames_are_told_to_the_creator_and_cost_no_break(make_broadcast):
    """A source that was never passed through does not change its coding later."""
    harness = await make_broadcast()
    harness.pipeline.is_b_profile = True

    await harness.play(7, sps=OTHER_SPS)

    assert not any(m.is_discontinuity for m in harness.of(SlotOpened))
    assert any("B-frames to 0" in a for a in harness.of(Health)[-1].advice)
    check_link(harness.messages)


async def test_new_picture_size_is_a_discontinuity_without_a_pause(make_broadcast):
    """A browser that changes size gets a new init at a segment's beginning."""
    harness = await make_broadcast()
    await harness.play(4)
    harness.frame = 0

    await harness.play(4, sps=OTHER_SPS)

    marked = [m for m in harness.of(SlotOpened) if m.is_discontinuity]
    assert len(marked) == 1
    slot = marked[0].slot
    first = next(m.part for m in harness.of(PartMade, "source") if m.part.slot == slot)
    assert first.init_hash == harness.of(InitMade, "source")[-1].init_hash
    assert harness.pipeline.restarts == 0
    before = [m for m in harness.of(SegmentEnded, "source") if m.msn == slot.msn - 1]
    assert before[0].end_ms == slot.start_ms
    check_link(harness.messages)


async def test_video_only_publisher_gets_sound_of_silence(make_broadcast):
    """Each rendition has audio, so players and playlists are the same for all publishers."""
    harness = await make_broadcast(frozenset({Track.VIDEO}))

    await harness.play(5, audio=False)

    assert harness.pipeline.filled
    parts = harness.of(PartMade, "source")
    assert len(parts) >= 8
    runs = [cmaf_reader.read_chunk(m.part.payload).runs for m in parts]
    assert all([run.track for run in tracks] == [1, 2] for tracks in runs)


async def test_lost_sound_is_waited_for_only_a_little(make_broadcast):
    """When sound stops, the picture goes on after audio_wait_ms."""
    harness = await make_broadcast()
    await harness.play(3)

    await harness.play(4, audio=False)

    newest = harness.of(PartMade, "source")[-1].part
    assert newest.end_ms >= harness.clock.wall_ms - 500 - 40 - 150 - 100


async def test_audio_only_show_has_one_rendition_cut_by_sound(make_broadcast):
    """A show without a picture has parts and segments like any other."""
    harness = await make_broadcast(frozenset({Track.AUDIO}))

    await harness.play(9, video=False)

    assert harness.of(ShowOpened)[0].audio_only
    assert [r.name for r in harness.of(RenditionsSet)[-1].renditions] == ["audio"]
    parts = [m.part for m in harness.of(PartMade)]
    assert {part.rendition for part in parts} == {"audio"}
    assert all(part.duration_us <= 522_000 for part in parts)
    assert len(harness.of(SegmentEnded)) >= 3
    check_link(harness.messages)


async def test_muted_audio_show_goes_on(make_broadcast):
    """Opus that pauses (DTX) does not stop the show: silence fills it."""
    harness = await make_broadcast(frozenset({Track.AUDIO}))
    await harness.play(3, video=False)
    count = len(harness.of(PartMade))

    await harness.play(1, video=False, audio=False)

    assert len(harness.of(PartMade)) >= count + 1


async def test_still_picture_does_not_stop_the_sound(make_broadcast):
    """When video stops, parts with sound go on in every rendition; it comes back at an IDR."""
    harness = await make_broadcast()
    await harness.play(3)
    await harness.play(5, video=False)
    newest = harness.of(PartMade, "source")[-1].part
    still_ms = harness.clock.wall_ms
    harness.frame = 0

    await harness.play(3)

    assert newest.end_ms >= still_ms - 600
    assert harness.of(PartMade, "360p")[-1].part.end_ms >= harness.clock.wall_ms - 700
    back = [m.slot for m in harness.of(SlotOpened) if m.is_discontinuity]
    assert len(back) == 1
    assert back[0].start_ms >= still_ms - 50
    check_link(harness.messages)


async def test_silent_rung_does_not_hold_up_the_others(make_broadcast):
    """A rung whose encoder is stuck gets parts without a picture after some seconds."""
    harness = await make_broadcast()
    await harness.play(3)
    harness.pipeline.silent_rungs.add("360p")

    await harness.play(6)

    assert harness.of(PartMade, "source")[-1].part.end_ms >= harness.clock.wall_ms - 700
    assert harness.of(PartMade, "360p")[-1].part.end_ms >= harness.clock.wall_ms - 5200
    check_link(harness.messages)


async def test_time_that_leaps_is_a_discontinuity(make_broadcast):
    """A publisher that was suspended goes on with fresh codecs and a marked segment."""
    harness = await make_broadcast()
    await harness.play(3)
    harness.ms += 5000
    harness.clock.move(5)
    harness.frame = 0

    await harness.play(3)

    assert harness.pipeline.restarts == 1
    assert len([m for m in harness.of(SlotOpened) if m.is_discontinuity]) == 1
    assert len(harness.of(ShowOpened)) == 1
    check_link(harness.messages)


async def test_r2_a_rung_that_falls_behind_is_marked_and_keeps_its_sound(make_broadcast):
    """Players read which parts have no picture, go elsewhere, and come back at an IDR."""
    harness = await make_broadcast()
    await harness.play(3)
    harness.pipeline.silent_rungs.add("360p")
    await harness.play(12)
    harness.pipeline.silent_rungs.clear()
    await harness.play(6)

    rung = [m.part for m in harness.of(PartMade, "360p")]
    marks = [part.is_gap for part in rung]
    assert 16 <= sum(marks) <= 32
    assert not marks[0]
    assert not marks[-1]
    assert not any(m.part.is_gap for m in harness.of(PartMade, "source"))
    back = rung[len(marks) - marks[::-1].index(True)]
    assert back.is_independent
    window = heard(None, harness.messages)
    text = playlist.media(window, "360p")
    assert text.count("#EXT-X-GAP") == sum(e.is_gap and e.is_ended for e in window.listed("360p"))
    assert "#EXT-X-GAP" in text
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in text
    sound = [
        run
        for part in rung
        for run in cmaf_reader.read_chunk(part.payload).runs
        if run.track == AUDIO_TRACK
    ]
    assert len(sound) == len(rung)
    assert all(a.base_time + len(a.samples) * 1024 == b.base_time for a, b in pairwise(sound))
    check_link(harness.messages)


async def test_r2_a_still_picture_is_no_gap(make_broadcast):
    """Sound goes on over the last picture: that is what the publisher sends."""
    harness = await make_broadcast()
    await harness.play(3)
    await harness.play(5, video=False)

    assert not any(m.part.is_gap for m in harness.of(PartMade))


async def test_r1_silence_of_ours_is_not_billed(make_broadcast):
    """Sound that stops is followed by a second of silence: that second is nobody's to pay for."""
    harness = await make_broadcast(frozenset({Track.AUDIO}))
    await harness.play(4.5, video=False)
    last_ms = harness.clock.wall_ms
    await harness.play(1.5, video=False, audio=False)
    harness.broadcast.publisher_gone("s1", "media_timeout")
    await settle()

    window = heard(None, harness.messages)
    parts = [part for entry in window.listed("audio") for part in entry.parts]
    paid = [part for part in parts if part.held_until_ms > part.slot.start_ms]
    assert parts[-1].end_ms > last_ms + 300
    assert paid[-1].held_until_ms <= last_ms + 20
    assert all(part.held_until_ms == part.end_ms for part in paid[:-1])
    runs = [entry.run for entry in window.listed("audio") if entry.run]
    assert runs[-1].end == -(-paid[-1].held_until_ms // 1000)


async def test_r1_sound_that_comes_back_was_never_away(make_broadcast):
    """A pause of Opus (DTX) within a part costs what the part costs."""
    harness = await make_broadcast(frozenset({Track.AUDIO}))
    await harness.play(3, video=False)
    await harness.play(0.3, video=False, audio=False)
    await harness.play(3, video=False)

    ticks: set[int] = set()
    for message in harness.of(PartMade):
        part = message.part
        end_ms = part.end_ms if part.held_ms is None else part.held_ms
        ticks |= {at // 1000 for at in range(part.slot.start_ms, end_ms)}
    assert len(ticks) == max(ticks) - min(ticks) + 1 >= 6
