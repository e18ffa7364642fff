"""Playlists: the golden texts, and that a list parsed back is the window it came from."""

from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as replaced

from mediaserver.hls import playlist
from mediaserver.hls.addresses import part_name, segment_name
from mediaserver.hls.rendition_window import Window
from mediaserver.ipc.messages import ShowEnded
from tests.support.builders import AUDIO, OPENED, Show, heard, live

GOLDEN = Path(__file__).parents[2] / "golden"


@dataclass
class Read:
    """One segment as a player reads it."""

    msn: int
    pdt_ms: int = 0
    uri: str = ""
    duration: Fraction = Fraction(0)
    map_uri: str = ""
    is_discontinuity: bool = False
    is_gap: bool = False
    parts: list[dict[str, str]] = field(default_factory=list)


def attributes(text: str) -> dict[str, str]:
    pairs, key, value, is_quoted = {}, "", "", False
    for character in text + ",":
        if character == '"':
            is_quoted = not is_quoted
        elif character == "," and not is_quoted:
            key, _, value = value.partition("=")
            pairs[key], value = value, ""
        else:
            value += character
    return pairs


def read(text: str) -> tuple[list[Read], dict[str, str]]:
    """A strict little player's parser: tags in order, no second MAP or date in a segment."""
    lines = text.split("\n")
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == ""
    tags: dict[str, str] = {}
    segments: list[Read] = []
    map_uri, current = "", Read(-1)
    for line in lines[1:-1]:
        name, _, value = line.removeprefix("#").partition(":")
        if name == "EXT-X-MEDIA-SEQUENCE":
            current.msn = int(value)
        elif name == "EXT-X-SKIP":
            current.msn += int(attributes(value)["SKIPPED-SEGMENTS"])
            tags["skip"] = value
        elif name == "EXT-X-DISCONTINUITY":
            current.is_discontinuity = True
        elif name == "EXT-X-MAP":
            map_uri = attributes(value)["URI"]
        elif name == "EXT-X-PROGRAM-DATE-TIME":
            assert not current.pdt_ms
            moment = datetime.fromisoformat(value)
            current.pdt_ms = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
        elif name == "EXT-X-PART":
            current.parts.append(attributes(value))
        elif name == "EXT-X-GAP":
            current.is_gap = True
        elif name == "EXTINF":
            current.duration = Fraction(value.removesuffix(","))
        elif line.startswith("#"):
            assert name.startswith("EXT-X-")
            tags[name] = value
        else:
            current.uri, current.map_uri = line, map_uri
            segments.append(current)
            current = Read(current.msn + 1)
    if current.parts:
        current.map_uri = map_uri
        segments.append(current)
    return segments, tags


def shaken(pattern: list[tuple[int, bool]]) -> Window:
    """A show whose segments have these many parts, some after a discontinuity."""
    show = Show()
    window = heard(None, show.open())
    for count, is_discontinuity in pattern:
        show.parts_per_segment = count
        show.now_ms += 4321 if is_discontinuity else 0
        window = heard(window, show.segment(is_discontinuity=is_discontinuity))
    return heard(window, show.begin(1))


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=40))
def test_a_playlist_parsed_back_is_the_window_it_came_from(pattern: list[tuple[int, bool]]) -> None:
    """A player sees exactly what we hold."""
    window = shaken(pattern)

    segments, tags = read(playlist.media(window, "source"))

    listed = window.listed("source")
    assert [s.msn for s in segments] == [e.msn for e in listed]
    assert [s.pdt_ms for s in segments] == [e.start_ms for e in listed]
    assert [s.is_discontinuity for s in segments] == [e.is_discontinuity for e in listed]
    assert [(s.uri, s.duration * 1000) for s in segments if s.uri] == [
        (segment_name(e.msn, e.named_run.first, e.named_run.count), e.end_ms - e.start_ms)
        for e in listed
        if e.is_ended
    ]
    for segment, entry in zip(segments, listed, strict=True):
        names = [part_name(part.slot) for part in entry.parts]
        assert [part["URI"] for part in segment.parts] in ([], names)
        if segment.parts and segment.uri:
            assert sum(Fraction(p["DURATION"]) for p in segment.parts) == segment.duration
    assert tags["EXT-X-DISCONTINUITY-SEQUENCE"] == str(window.discontinuity_sequence(listed[0].msn))


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=2, max_size=40))
def test_each_date_is_the_last_one_plus_the_duration(pattern: list[tuple[int, bool]]) -> None:
    """The clock on the wall and the bill agree to the millisecond, for hours."""
    segments, _ = read(playlist.media(shaken(pattern), "source"))

    for before, after in pairwise(segments):
        if not after.is_discontinuity:
            assert after.pdt_ms == before.pdt_ms + before.duration * 1000


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=40))
def test_a_delta_says_the_rest_of_the_whole_list(pattern: list[tuple[int, bool]]) -> None:
    """A player that merges a delta has what a fresh player has."""
    window = shaken(pattern)
    whole, _ = read(playlist.media(window, "source"))
    rest, tags = read(playlist.media(window, "source", is_delta=True))

    skipped = len(whole) - len(rest)
    assert rest == whole[skipped:]
    assert ("skip" in tags) == (skipped > 0)
    assert not any(segment.is_discontinuity for segment in whole[:skipped])
    if skipped:
        left_s = sum(s.duration or Fraction(1, 2) for s in rest)
        assert left_s >= 6 * OPENED.target_duration_s


def test_parts_of_the_last_three_targets_stand_before_their_segment() -> None:
    """Players near the edge find parts; nobody fetches a segment over its parts."""
    segments, tags = read(playlist.media(live(20, parts=2)[1], "source"))

    with_parts = [segment for segment in segments if segment.parts]
    assert len(with_parts) == 5
    assert with_parts == segments[-5:]
    assert all(segment.parts[0]["INDEPENDENT"] == "YES" for segment in with_parts)
    assert tags["EXT-X-PRELOAD-HINT"] == 'TYPE=PART,URI="20.2-1700000041x1.m4s"'


def test_the_audio_list_promises_a_part_one_frame_longer() -> None:
    """AAC cannot be cut finer than 1024 samples; a broken promise stops Apple players."""
    _, window = live(3)

    _, tags = read(playlist.media(window, AUDIO.name))

    assert tags["EXT-X-PART-INF"] == "PART-TARGET=0.522"
    control = attributes(tags["EXT-X-SERVER-CONTROL"])
    assert Fraction(control["PART-HOLD-BACK"]) >= 3 * Fraction("0.522")
    assert control == attributes(read(playlist.media(window, "source"))[1]["EXT-X-SERVER-CONTROL"])


def test_a_changed_init_is_named_where_it_begins() -> None:
    """After a change of codec the right header is used on both sides."""
    show, window = live(2)
    show.init_hash = "f" * 16
    window = heard(window, show.segment(is_discontinuity=True))

    segments, _ = read(playlist.media(window, "source"))

    assert [s.map_uri for s in segments] == ["init-0123456789abcdef.mp4"] * 2 + [
        "init-ffffffffffffffff.mp4"
    ]


def test_no_uri_says_who_watches_or_where() -> None:
    """Relative only: every viewer gets the same bytes, whatever the prefix."""
    _, window = live(20, parts=2)
    text = playlist.multivariant(window) + playlist.media(window, "source")

    assert "://" not in text
    assert 'URI="/' not in text
    assert not [line for line in text.splitlines() if line.startswith("/")]


def golden(name: str) -> str:
    """The windows behind the golden texts."""
    show, window = live(14)
    show.now_ms += 7_321
    show.init_hash = "fedcba9876543210"
    window = heard(window, show.segment(is_discontinuity=True))
    show.parts_per_segment = 3
    window = heard(window, show.segments(2))
    window = heard(window, show.begin(2))
    _, low_window = live(16, parts=1, opened=replaced(OPENED, window_ms=24_000))
    texts = {
        "multivariant.m3u8": lambda: playlist.multivariant(window),
        "live.m3u8": lambda: playlist.media(window, "source"),
        "audio.m3u8": lambda: playlist.media(window, "audio"),
        "delta.m3u8": lambda: playlist.media(low_window, "360p", is_delta=True),
        "ended.m3u8": lambda: playlist.media(window.apply(ShowEnded()), "source"),
    }
    return texts[name]()


@pytest.mark.parametrize(
    "name", ["multivariant.m3u8", "live.m3u8", "audio.m3u8", "delta.m3u8", "ended.m3u8"]
)
def test_playlists_read_as_they_always_did(name: str) -> None:
    """A change of a single character is seen and meant."""
    assert golden(name) == (GOLDEN / name).read_text()
