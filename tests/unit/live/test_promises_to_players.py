"""What a show's lists promise is what it holds, at every message of its worker."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from mediaserver.hls import playlist
from mediaserver.hls.rendition_window import Window
from mediaserver.ipc.messages import Health, Message, RenditionsSet, ShowOpened
from tests.support.broadcast_harness import BOTH, broadcasts, check_link
from tests.support.builders import AUDIO, SOURCE, Show, heard


@pytest.fixture
async def make_broadcast():
    async with broadcasts() as make:
        yield make


def windows(messages: list[Message]) -> Iterator[Window]:
    """Yield what an HTTP process knows after each message of a worker."""
    window = None
    for message in messages:
        if window is None and isinstance(message, ShowOpened):
            window = Window(message)
        if window is not None:
            window = window.apply(message)
            yield window


async def test_r8_every_list_of_a_live_show_ends_with_a_hint(make_broadcast):
    """No player has to ask blindly for what follows, not even where a segment ends."""
    harness = await make_broadcast()

    await harness.play(9, gop=37)

    lists = 0
    for window in windows(harness.messages):
        for name in window.tracks:
            text = playlist.media(window, name)
            assert "#EXT-X-PRELOAD-HINT:TYPE=PART" in text, text[-600:]
            lists += 1
    assert lists > 100


async def test_r8_parts_of_sound_sum_up_to_their_segment(make_broadcast):
    """The sound's own list says the same length twice, and no part is longer than PART-TARGET."""
    harness = await make_broadcast()

    await harness.play(20)

    *_, window = windows(harness.messages)
    ended = [entry for entry in window.tracks["audio"] if entry.is_ended]
    assert len(ended) >= 8
    for entry in ended:
        parts_us = [part.duration_us for part in entry.parts]
        assert sum(parts_us) == (entry.end_ms - entry.start_ms) * 1000
        assert max(parts_us) <= playlist.part_target_ms(window, "audio") * 1000


def test_r8_bandwidth_is_never_below_a_listed_segment() -> None:
    """A player that chooses by BANDWIDTH is not surprised, even between two words of the worker."""
    show = Show(renditions=(_underrated(SOURCE), AUDIO))
    window = heard(None, show.open())

    for message in show.segments(9):
        window = window.apply(message)

        if window.has_started:
            listed = re.findall(r"(?<!-)BANDWIDTH=(\d+)", playlist.multivariant(window))
            for rendition, bandwidth in zip(window.renditions, listed, strict=True):
                assert int(bandwidth) >= rendition.bandwidth_bps
                for entry in window.listed(rendition.name):
                    if entry.is_ended:
                        size = sum(len(_payload(show, rendition.name, p)) for p in entry.parts)
                        assert int(bandwidth) * (entry.end_ms - entry.start_ms) >= size * 8000


def _underrated(rendition):
    """Return a rendition of which its worker thought too little."""
    return type(rendition)(rendition.name, rendition.codecs, 1000, 1000, 320, 180, 25_000)


def _payload(show: Show, rendition: str, part) -> bytes:
    return show.part(rendition, part.slot).part.payload


async def test_r8_a_publisher_that_sends_sound_only_is_live_and_says_so(make_broadcast):
    """It offered a picture too: after some seconds without one the show begins with the sound."""
    harness = await make_broadcast(BOTH)

    await harness.play(6, video=False)

    (opened,) = harness.of(ShowOpened)
    assert opened.audio_only
    assert [r.name for r in harness.of(RenditionsSet)[-1].renditions] == ["audio"]
    assert harness.of(Health)[-1].state == "live"
    assert any("sends none" in advice for advice in harness.broadcast.health().advice)
    check_link(harness.messages)

    await harness.play(2)

    assert len(harness.of(ShowOpened)) == 1
    assert not any("sends none" in advice for advice in harness.broadcast.health().advice)
    assert any("began with sound only" in advice for advice in harness.broadcast.health().advice)


async def test_r8_a_late_keyframe_is_waited_for(make_broadcast):
    """OBS' own choice is a keyframe each 8 s: frames come until then, so the picture does too."""
    harness = await make_broadcast(BOTH)
    harness.frame = 1

    await harness.play(10, gop=200)

    (opened,) = harness.of(ShowOpened)
    assert not opened.audio_only


async def test_r8_a_show_that_lost_its_picture_says_so(make_broadcast):
    """The publisher is back with its sound alone: the creator reads why nothing moves."""
    harness = await make_broadcast(BOTH)
    await harness.play(3)
    harness.broadcast.publisher_gone("s1", "media_timeout")
    harness.wait(5)
    harness.broadcast.publisher_connected("s2", BOTH, "OBS-Studio/32.0")

    await harness.play(5, video=False)

    assert any("see a pause" in advice for advice in harness.broadcast.health().advice)
    harness.frame = 0

    await harness.play(2)

    assert not any("sends none" in advice for advice in harness.broadcast.health().advice)
    assert not any(opened.audio_only for opened in harness.of(ShowOpened))
