"""FFmpeg's own WHIP muxer publishes to us, over real sockets."""

import itertools

import pytest

from mediaserver.media import Track
from tests.support.whip.helpers import ffmpeg, serving


async def connected_s(process):
    """Return how long FFmpeg took from its POST to the end of its handshake."""
    while line := await process.stdout.readline():
        word, _, value = line.decode().strip().partition(" ")
        if word == "connected":
            return float(value)
    pytest.fail("FFmpeg did not connect")


@pytest.mark.parametrize("option", [(), ("whip_flags=dtls_active",)], ids=["passive", "active"])
async def test_ffmpeg_publishes_picture_and_sound(tmp_path, option):
    """FFmpeg connects within 0.2 s, its frames arrive from an IDR on, and DELETE ends it."""
    async with (
        serving() as (client, endpoint, sink),
        ffmpeg(client, tmp_path, 6, "av", *option) as process,
    ):
        took_s = await connected_s(process)
        await sink.until(lambda: len(sink.of(Track.VIDEO)) >= 60 and len(sink.of(Track.AUDIO)) > 80)
        await sink.until(lambda: sink.reports)
        await sink.until(sink.reasons)
        facts = endpoint.facts()

    video = sink.of(Track.VIDEO)
    print(f"FFmpeg {option}: connected in {took_s * 1000:.0f} ms", facts)
    assert took_s < 0.6  # 0.13 s on a quiet machine
    assert video[0].is_idr
    assert {7, 8, 5} <= {nal[0] & 31 for nal in video[0].payload}
    steps = {later.rtp_time - unit.rtp_time for unit, later in itertools.pairwise(video)}
    assert steps == {3000}
    assert not any(unit.follows_loss for unit in sink.units)
    assert sink.events[0][2] == frozenset({Track.VIDEO, Track.AUDIO})
    assert sink.reasons() == ["deleted"]


@pytest.mark.parametrize(("kind", "track"), [("a", Track.AUDIO), ("v", Track.VIDEO)])
async def test_ffmpeg_publishes_one_track_alone(tmp_path, kind, track):
    """An offer with only sound, or only a picture, is a stream like any other."""
    async with serving() as (client, _, sink), ffmpeg(client, tmp_path, 5, kind):
        await sink.until(lambda: len(sink.units) >= 20)

    assert sink.events[0][2] == frozenset({track})
    assert {unit.track for unit in sink.units} == {track}
