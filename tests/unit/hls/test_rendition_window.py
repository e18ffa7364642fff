"""The live window: what is listed, kept and hinted after what a worker said."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from mediaserver.hls import playlist
from mediaserver.hls.rendition_window import Presence, Window
from mediaserver.hls.window_entries import Edge
from mediaserver.ipc.messages import (
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Slot
from metering.units import Run
from tests.support.builders import AUDIO, LOW, OPENED, SOURCE, START_MS, Show, heard, live


def test_a_window_lists_its_length_and_keeps_what_slow_players_still_fetch() -> None:
    """A segment leaves the list after 30 s, and can be had for as long again."""
    _, window = live(60)

    listed = window.listed("source")
    assert [entry.msn for entry in listed] == list(range(44, 60))
    assert sum(entry.end_ms - entry.start_ms for entry in listed) == 32_000
    kept_ms = sum(entry.end_ms - entry.start_ms for entry in window.tracks["source"])
    assert 64_000 <= kept_ms <= 68_000


def test_the_listed_media_never_falls_below_three_targets() -> None:
    """rfc8216bis, 6.2.2, whatever the operator set."""
    _, window = live(40, opened=replace(OPENED, window_ms=2000))

    assert sum(entry.end_ms - entry.start_ms for entry in window.listed("source")) >= 9000


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_media_sequence_never_goes_back(discontinuities: list[bool]) -> None:
    """A player that came to trust a number may keep it."""
    show = Show()
    window = heard(None, show.open())
    before = (0, 0)

    for is_discontinuity in discontinuities:
        for message in show.segment(is_discontinuity=is_discontinuity):
            window = window.apply(message)
            now = (window.listed_msn, window.discontinuity_sequence(window.listed_msn))
            assert now >= before
            assert now[1] == sum(discontinuities[: now[0]])
            before = now


@given(st.integers(1, 40), st.integers(0, 3), st.data())
def test_what_is_told_again_changes_nothing(segments: int, parts: int, data: st.DataObject) -> None:
    """A worker that reconnects tells all it has; viewers notice nothing."""
    show, window = live(segments, parts)
    start = data.draw(st.integers(0, len(show.messages)))

    again = heard(window, show.messages[start:])

    assert again is window or again == window


def test_a_new_process_told_the_window_lists_the_same() -> None:
    """An HTTP process that restarts answers byte for byte as its siblings do."""
    show, window = live(60, 2)
    first = window.first_msn
    messages = [
        m
        for m in show.messages
        if not (isinstance(m, SlotOpened) and m.slot.msn < first)
        and not (isinstance(m, PartMade) and m.part.slot.msn < first)
        and not (isinstance(m, SegmentEnded) and m.msn < first)
    ]

    assert heard(None, messages) == window


def test_a_rung_that_lags_lists_what_it_has_in_the_same_numbers() -> None:
    """A slow encoder holds nobody else up."""
    show, window = live(3)
    slots = [show.slot(0), show.slot(1)]
    for slot in slots:
        window = window.apply(SlotOpened(slot, is_discontinuity=False))
        window = window.apply(show.part("source", slot))

    assert window.edge("source") == Edge(3, 2, is_segment_ended=False, is_show_ended=False)
    assert window.edge("360p") == Edge(2, 4, is_segment_ended=True, is_show_ended=False)
    assert window.hint("360p") == slots[0]
    assert window.hint("source") is None
    assert window.listed("source")[0].msn == window.listed("360p")[0].msn


def test_the_multivariant_waits_for_the_first_part_of_every_rendition() -> None:
    """No player is sent to a list that does not exist."""
    show = Show()
    window = heard(None, show.open())
    window = window.apply(SlotOpened(show.slot(0), is_discontinuity=False))
    assert not window.has_started
    for rendition in (SOURCE, LOW):
        window = window.apply(show.part(rendition.name, show.slot(0)))
    assert not window.has_started

    assert window.apply(show.part(AUDIO.name, show.slot(0))).has_started


def test_a_part_that_never_came_is_a_gap_not_a_hole() -> None:
    """Numbers stay those of the other renditions; players skip the gap."""
    show, window = live(1)
    for part in range(3):
        window = window.apply(SlotOpened(show.slot(part), is_discontinuity=False))
    window = window.apply(show.part("360p", show.slot(0)))
    window = window.apply(show.part("360p", show.slot(2)))

    entry = window.listed("360p")[-1]
    assert [part.is_gap for part in entry.parts] == [False, True, False]
    assert [part.duration_us for part in entry.parts] == [500_000] * 3


def test_a_segment_that_never_came_is_a_gap_of_its_planned_length() -> None:
    """The rendition's numbering goes on without a jump."""
    show, window = live(2)
    rungs = (SOURCE, AUDIO)
    show.renditions = rungs
    window = heard(window, list(show.segments(2))).apply(RenditionsSet((SOURCE, LOW, AUDIO)))
    show.renditions = (SOURCE, LOW, AUDIO)
    window = heard(window, show.segment())

    listed = window.listed("360p")
    assert [entry.msn for entry in listed] == [0, 1, 2, 3, 4]
    assert [entry.is_gap for entry in listed] == [False, False, True, True, False]
    assert [entry.end_ms - entry.start_ms for entry in listed] == [2000] * 5


def test_r2_a_segment_with_a_part_without_picture_is_a_gap_and_never_begins_a_list() -> None:
    """Players skip it; ExoPlayer does not get past one that begins a list."""
    show = Show()
    window = heard(None, show.open())
    for number in range(24):
        messages = list(show.segment())
        if number == 10:
            messages = [_without_picture(message) for message in messages]
        window = heard(window, messages)

    listed = window.listed("360p")
    assert [entry.msn for entry in listed if entry.is_gap] == [10]
    assert not any(entry.is_gap for entry in window.listed("source"))
    assert "#EXT-X-GAP" in playlist.media(window, "360p")
    window = heard(window, show.segments(2))
    assert window.listed("source")[0].msn == 10
    assert window.listed("360p")[0].msn == 11
    assert "#EXT-X-MEDIA-SEQUENCE:11" in playlist.media(window, "360p")


def _without_picture(message: object) -> Any:
    """Return the message, with the second part of 360p as an encoder that was late made it."""
    if isinstance(message, PartMade) and message.part.rendition == "360p":
        part = message.part
        return PartMade(dataclasses.replace(part, is_gap=part.slot.part == 1))
    return message


def test_a_worker_that_died_is_followed_by_a_discontinuity() -> None:
    """The open segment ends where its media ended and the next one begins anew."""
    show, window = live(3, parts=2)
    show.msn += 1
    show.now_ms += 7000
    window = heard(window, show.segment(is_discontinuity=True))

    broken, after = window.listed("source")[-2:]
    assert (broken.msn, broken.end_ms - broken.start_ms, len(broken.parts)) == (3, 1000, 2)
    assert (after.msn, after.is_discontinuity) == (4, True)


def test_r1_a_segment_is_named_after_what_it_holds() -> None:
    """A second that never came is not in its name, so nobody is asked for it."""
    show, window = live(0)
    slot = Slot(0, 0, START_MS + 900, START_MS + 1400)
    window = window.apply(SlotOpened(slot, is_discontinuity=False))
    window = window.apply(show.part("source", slot, end_ms=START_MS + 950))
    window = window.apply(SegmentEnded("source", 0, START_MS + 950, 50_000))

    entry = window.listed("source")[0]
    assert entry.run == Run(START_MS // 1000, 1)
    assert "0-1700000000x1.m4s" in playlist.media(window, "source")
    assert "0.0-1700000000x2.m4s" in playlist.media(window, "source")


def test_r1_a_rung_that_lacks_the_ends_of_a_segment_is_named_after_the_rest() -> None:
    """Parts that an encoder never made carry no second."""
    show = Show(parts_per_segment=6, now_ms=START_MS + 500)
    window = heard(None, show.open())
    slots = [show.slot(part) for part in range(6)]
    for slot in slots:
        window = window.apply(SlotOpened(slot, is_discontinuity=False))
    for slot in slots[:3]:
        window = window.apply(show.part("source", slot))
    window = window.apply(SegmentEnded("source", 0, slots[-1].planned_end_ms, 3_000_000))

    (entry,) = window.listed("source")
    assert [part.is_gap for part in entry.parts] == [False] * 3 + [True] * 3
    assert entry.run == Run(START_MS // 1000, 2)


def test_the_end_of_a_show_ends_its_open_segments() -> None:
    """What was shown as parts can be had as a segment, and nothing is hinted."""
    _, window = live(2, parts=3)
    ended = window.apply(ShowEnded())

    last = ended.listed("source")[-1]
    assert (last.is_ended, last.end_ms - last.start_ms, len(last.parts)) == (True, 1500, 3)
    assert ended.hint("source") is None
    assert ended.apply(SlotOpened(Slot(9, 0, 0, 500), is_discontinuity=False)) is ended


def test_segments_that_passed_unheard_begin_the_window_anew() -> None:
    """A link that was away longer than the window leaves no hole, and counts discontinuities on."""
    show, window = live(3)
    show.msn += 50
    show.now_ms += 100_000
    window = window.apply(replace(OPENED, discontinuity_sequence=4))
    window = heard(window, show.segment(is_discontinuity=True))

    assert [entry.msn for entry in window.listed("source")] == [53]
    assert window.discontinuity_sequence(53) == 4
    assert window.discontinuity_sequence(54) == 5


def test_presence_tells_hinted_from_past_gone_and_unknown() -> None:
    """Only what is hinted is waited for."""
    _, window = live(60, parts=1)

    assert window.presence("source", 60, 1) is Presence.PLANNED
    assert window.presence("source", 60, 0) is Presence.PASSED
    assert window.presence("source", 59, None) is Presence.PASSED
    assert window.presence("source", 60, 2) is Presence.UNKNOWN
    assert window.presence("source", 60, None) is Presence.UNKNOWN
    assert window.presence("bogus", 60, 1) is Presence.UNKNOWN
    assert window.presence("source", 2, 0) is Presence.GONE


def test_the_oldest_segment_can_be_given_up_for_memory() -> None:
    """A bound on bytes shortens the list from its old end, and never empties it."""
    _, window = live(20)
    shorter = window.without_oldest()
    for _ in range(40):
        shorter = shorter.without_oldest()

    assert [entry.msn for entry in shorter.listed("source")] == [18, 19]


@pytest.mark.parametrize(
    "message",
    [
        SlotOpened(Slot(7, 3, START_MS, START_MS + 500), is_discontinuity=False),
        SlotOpened(Slot(3, 2, START_MS, START_MS + 500), is_discontinuity=False),
        SlotOpened(Slot(0, 0, START_MS, START_MS + 500), is_discontinuity=True),
        SegmentEnded("source", 99, START_MS, 1),
        SegmentEnded("bogus", 2, START_MS, 1),
        Show().part("source", Slot(50, 0, START_MS, START_MS + 500)),
        Show().part("source", Slot(1, 0, START_MS, START_MS + 999)),
        ShowOpened(OPENED.stream, "cam", 9, 500, 3, 30_000, audio_only=False),
    ],
)
def test_nonsense_from_a_worker_changes_nothing(message: object) -> None:
    """A faulty worker cannot break what is already shown."""
    _, window = live(3)

    assert window.apply(message) is window  # type: ignore[arg-type]


def test_a_window_begins_at_a_whole_segment() -> None:
    """Parts whose beginning was not heard are not shown."""
    window = Window(OPENED).apply(SlotOpened(Slot(4, 2, 0, 500), is_discontinuity=False))

    assert window.plans == ()
