"""Where parts and segments end."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.hls import slots
from mediaserver.hls.segmenter import PartBegan, PartEnded, SegmentEnded, Segmenter, SegmenterEvent
from mediaserver.hls.settings import HlsSettings
from tests.support.strategies import FRAME_RATES, frames

SETTINGS = HlsSettings()
START = 1_700_000_000_123


def starts(rate, seconds, origin=START):
    """Return frame starts of a steady source, rounded to whole ms as the timeline does."""
    return [round(origin + number * 1000 / rate) for number in range(int(rate * seconds))]


def run(segmenter, source):
    """Feed (start, is_idr[, is_discontinuity]) and return all events."""
    return [event for frame in source for event in segmenter.frame(*frame)]


def parts_of(events):
    """Return (slot, end_ms) of all parts that ended."""
    return [(e.slot, e.end_ms) for e in events if isinstance(e, PartEnded)]


def segments_of(events):
    """Return (msn, end_ms) of all segments that ended."""
    return [(e.msn, e.end_ms) for e in events if isinstance(e, SegmentEnded)]


def test_first_idr_opens_the_first_segment():
    """Nothing is shown before a decoder can start."""
    segmenter = Segmenter(SETTINGS, 5)

    before = segmenter.frame(START, is_idr=False)
    events = segmenter.frame(START + 33, is_idr=True)

    assert before == ()
    assert events == (PartBegan(slots.plan(5, 0, START + 33, 500, START + 9999), False),)


@pytest.mark.parametrize("rate", FRAME_RATES)
def test_parts_keep_the_part_target_at_each_frame_rate(rate):
    """No part is longer than PART-TARGET; each is at least 85 % of it unless a segment ends."""
    times = starts(rate, 30)
    gop = round(rate * 2)

    events = run(Segmenter(SETTINGS, 0), [(t, n % gop == 0) for n, t in enumerate(times)])

    ends = {end for _, end in segments_of(events)}
    assert len(segments_of(events)) == 14
    for slot, end_ms in parts_of(events):
        length_ms = end_ms - slot.start_ms
        assert length_ms <= 500
        assert length_ms >= 425 or end_ms in ends


@pytest.mark.parametrize(("rate", "part_ms"), [(24, 500), (30, 500), (50, 500), (60, 500)])
def test_parts_are_exactly_the_target_where_frames_fit(rate, part_ms):
    """Rounding frame times to whole ms must not cost the last frame of a part."""
    events = run(
        Segmenter(SETTINGS, 0), [(t, n % (rate * 2) == 0) for n, t in enumerate(starts(rate, 20))]
    )

    assert {end - slot.start_ms for slot, end in parts_of(events)} == {part_ms}


@pytest.mark.parametrize("part_ms", [500, 1000, 2000])
@pytest.mark.parametrize("offset", range(0, 1024, 128))
def test_r8_sound_alone_ends_its_segments_with_whole_parts(part_ms, offset):
    """Frames of AAC last 21.33 ms: no segment is left with a part of one or two of them."""
    settings = replace(SETTINGS, part_target_ms=part_ms)
    times = [(START * 48 + offset + frame * 1024) // 48 for frame in range(3000)]

    events = run(Segmenter(settings, 0), [(time, True) for time in times])

    lengths = [end_ms - slot.start_ms for slot, end_ms in parts_of(events)]
    assert len(segments_of(events)) > 28
    assert part_ms * 0.95 <= min(lengths) <= max(lengths) <= part_ms


def test_part_is_cut_when_the_frame_that_would_cross_begins():
    """At 25 fps the cut is known 40 ms before the target, not after it."""
    segmenter = Segmenter(SETTINGS, 0)
    run(segmenter, [(START + n * 40, n == 0) for n in range(12)])

    events = segmenter.frame(START + 480, is_idr=False)

    assert [(e.slot.part, e.end_ms) for e in events if isinstance(e, PartEnded)] == [
        (0, START + 480)
    ]


def test_wrong_prediction_is_corrected():
    """A frame that turns out too long begins the next part instead of stretching this one."""
    segmenter = Segmenter(SETTINGS, 0)
    run(segmenter, [(START + n * 33, n == 0) for n in range(15)])

    events = segmenter.frame(START + 510, is_idr=False)

    assert parts_of(events)[0][1] == START + 462
    assert events[1].slot.start_ms == START + 462


def test_slide_show_is_cut_by_plan():
    """Frames longer than a part do not stretch parts: they run on into the next."""
    events = run(Segmenter(SETTINGS, 0), [(START + n * 1000, n % 2 == 0) for n in range(7)])

    assert {end - slot.start_ms for slot, end in parts_of(events)} == {500}
    assert [end - START for _, end in segments_of(events)] == [2000, 4000, 6000]


def test_idr_in_mid_segment_begins_a_part():
    """A joining player finds an INDEPENDENT part in the middle of a segment."""
    segmenter = Segmenter(SETTINGS, 0)
    run(segmenter, [(START + n * 40, n == 0) for n in range(7)])

    events = segmenter.frame(START + 280, is_idr=True)

    assert parts_of(events)[0][1] == START + 280
    assert segments_of(events) == []
    assert events[1].slot.part == 1


def test_segment_ends_at_the_first_idr_after_its_target():
    """Unscheduled IDRs make no tiny segments."""
    source = [(START + n * 40, n in {0, 3, 5, 20, 24, 57, 80}) for n in range(85)]

    events = run(Segmenter(SETTINGS, 0), source)

    assert [end - START for _, end in segments_of(events)] == [57 * 40]


def test_segment_ends_at_an_idr_that_is_a_little_early():
    """A GOP of 1.9 s makes segments of 1.9 s, not of 3.8 s."""
    source = [(START + n * 38, n % 50 == 0) for n in range(160)]

    events = run(Segmenter(SETTINGS, 0), source)

    assert [end - START for _, end in segments_of(events)] == [1900, 3800, 5700]


def test_early_idr_is_left_when_a_nearer_one_follows():
    """Half-second GOPs end segments at 2.0 s, not at 1.5 s."""
    source = [(START + n * 20, n % 25 == 0) for n in range(310)]

    events = run(Segmenter(SETTINGS, 0), source)

    assert [end - START for _, end in segments_of(events)] == [2000, 4000, 6000]


def test_early_idr_is_taken_when_the_next_would_break_the_promise():
    """A GOP of 1.4 s under TARGETDURATION 2 ends segments at 1.4 s, as 2.8 s rounds to 3."""
    settings = replace(SETTINGS, target_duration_s=2)
    source = [(START + n * 40, n % 35 == 0) for n in range(110)]

    events = run(Segmenter(settings, 0), source)

    assert [end - START for _, end in segments_of(events)] == [1400, 2800, 4200]


def test_audio_is_cut_in_whole_parts():
    """Where each frame is an IDR, parts are full and segments end with a whole part."""
    source = [((START * 48 + n * 1024) // 48, True) for n in range(48_000 * 20 // 1024)]

    events = run(Segmenter(SETTINGS, 0), source)

    lengths = [end - slot.start_ms for slot, end in parts_of(events)]
    assert min(lengths) >= 425
    assert max(lengths) <= 500
    ends = [START] + [end for _, end in segments_of(events)]
    assert all(1900 <= b - a <= 2100 for a, b in itertools.pairwise(ends))


def test_idr_is_wanted_at_the_target_and_at_the_nearest_part_end():
    """At 25 fps a forced IDR falls on the part end at 1.92 s: four parts, not five."""
    segmenter = Segmenter(SETTINGS, 0)
    wanted = []
    for number in range(60):
        start_ms = START + number * 40
        if segmenter.wants_idr(start_ms):
            wanted.append(start_ms - START)
        segmenter.frame(start_ms, number == 0)

    assert wanted[:2] == [0, 1920]
    assert wanted[2:] == list(range(2000, 2400, 40))


@pytest.mark.parametrize("rate", FRAME_RATES)
def test_an_idr_when_overdue_keeps_the_target_duration(rate):
    """With an IDR forced when it is asked for, no EXTINF rounds above TARGETDURATION."""
    segmenter = Segmenter(SETTINGS, 0)
    events: list[SegmenterEvent] = []
    for number, start_ms in enumerate(starts(rate, 20)):
        events += segmenter.frame(start_ms, number == 0 or segmenter.is_overdue(start_ms))

    ends = [START] + [end for _, end in segments_of(events)]
    lengths = [b - a for a, b in itertools.pairwise(ends)]
    assert len(lengths) == 5
    assert all(3200 <= length <= 3499 for length in lengths)


def test_three_second_gop_is_not_overdue():
    """OBS with a keyframe interval of 3 s is passed through under TARGETDURATION 3."""
    segmenter = Segmenter(SETTINGS, 0)
    overdue = []
    for number, start_ms in enumerate(starts(30, 12)):
        is_idr = number % 90 == 0
        overdue.append(not is_idr and segmenter.is_overdue(start_ms))
        segmenter.frame(start_ms, is_idr)

    assert not any(overdue)


def test_discontinuity_ends_part_and_segment_and_numbers_go_on():
    """After a break the next segment has the next number, is marked, and keeps no old time."""
    segmenter = Segmenter(SETTINGS, 3)
    run(segmenter, [(START + n * 40, n == 0) for n in range(6)])

    events = segmenter.frame(START + 9000, is_idr=True, is_discontinuity=True)

    assert events[0].end_ms == START + 240
    assert events[1] == SegmentEnded(3, START + 240)
    assert events[2].slot.msn == 4
    assert events[2].slot.part == 0
    assert events[2].slot.start_ms == START + 9000
    assert events[2].is_discontinuity


def test_discontinuity_without_idr_waits_for_one():
    """The mark is not lost while frames come that no decoder can start at."""
    segmenter = Segmenter(SETTINGS, 0)
    run(segmenter, [(START, True), (START + 40, False)])
    segmenter.frame(START + 5000, is_idr=False, is_discontinuity=True)

    events = segmenter.frame(START + 5040, is_idr=True)

    assert [e.is_discontinuity for e in events] == [True]


def test_finish_ends_what_is_open():
    """A lost publisher's last segment ends where its last frame ends."""
    segmenter = Segmenter(SETTINGS, 0)
    run(segmenter, [(START + n * 40, n == 0) for n in range(20)])

    events = segmenter.finish(segmenter.frame_end_ms)

    assert segments_of(events) == [(0, START + 800)]
    assert segmenter.slot is None
    assert segmenter.finish(START + 900) == ()


def test_time_that_passes_without_frames_ends_parts_and_segments():
    """A picture that has stopped does not stop the sound: parts go on, within the promise."""
    segmenter = Segmenter(SETTINGS, 0)
    events = run(segmenter, [(START, True), (START + 40, False)])

    events += segmenter.pass_time(START + 8000)

    ends = [START] + [end for _, end in segments_of(events)]
    assert len(ends) == 3
    assert all(b - a <= segmenter.longest_ms for a, b in itertools.pairwise(ends))


def test_picture_that_comes_back_begins_a_segment_at_its_idr():
    """A segment that began without a picture ends as soon as there is one to start at."""
    segmenter = Segmenter(SETTINGS, 0)
    run(segmenter, [(START, True), (START + 40, False)])
    segmenter.pass_time(START + 4000)

    assert segmenter.wants_idr(START + 4100)
    assert segments_of(segmenter.frame(START + 4100, is_idr=True)) == [(1, START + 4100)]


@given(frames(), st.sampled_from([(500, 2000, 3), (334, 1000, 2), (200, 2000, 2), (1000, 6000, 6)]))
def test_laws_of_cutting(source, numbers):
    """What every playlist relies on, for any publisher: see the asserts."""
    part_ms, segment_ms, target_s = numbers
    settings = replace(
        SETTINGS,
        part_target_ms=part_ms,
        segment_target_ms=segment_ms,
        target_duration_s=target_s,
    )
    segmenter = Segmenter(settings, 11)
    events: list[SegmenterEvent] = []
    for start_ms, is_idr, is_break in source:
        forced = segmenter.is_overdue(start_ms)
        events += segmenter.frame(start_ms, is_idr or forced, is_break)
    events += segmenter.finish(segmenter.frame_end_ms)

    opened = [e for e in events if isinstance(e, PartBegan)]
    ended = parts_of(events)
    # Each slot that opens ends, in order, and is never longer than its plan or empty.
    assert [e.slot for e in opened] == [slot for slot, _ in ended]
    assert all(s.start_ms < end <= s.planned_end_ms for s, end in ended)
    assert all(s.planned_end_ms - s.start_ms <= part_ms for s, _ in ended)
    for before, after in itertools.pairwise(opened):
        # Numbers never go back or skip; without a break slots follow each other without a gap.
        assert (after.slot.msn, after.slot.part) in {
            (before.slot.msn, before.slot.part + 1),
            (before.slot.msn + 1, 0),
        }
        end_ms = dict(ended)[before.slot]
        assert after.slot.start_ms >= end_ms
        assert after.is_discontinuity or after.slot.start_ms == end_ms
        assert not (after.is_discontinuity and after.slot.part)
    # The parts of a segment are the segment, and TARGETDURATION holds.
    for msn, end_ms in segments_of(events):
        mine = [(slot, end) for slot, end in ended if slot.msn == msn]
        assert mine[-1][1] == end_ms
        assert sum(end - s.start_ms for s, end in mine) == end_ms - mine[0][0].start_ms
        assert (end_ms - mine[0][0].start_ms + 22 + 500) // 1000 <= target_s
        run_ = slots.segment_run(s for s, _ in mine)
        assert run_.first * 1000 <= mine[0][0].start_ms
        assert run_.end * 1000 >= end_ms
