"""Numbers and advice for the creator."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mediaserver.ingest.encoder import Encoder, encoder_of
from mediaserver.live.health import ShowFacts, frame_rate_milli, report

SHOW = ShowFacts(
    state="live",
    renditions=3,
    frame_rate_milli=30_000,
    source_bps=3_000_000,
    gop_ms=2000,
    is_reencoding=False,
    has_b_frames=False,
    frames_dropped=0,
    is_video_ignored=False,
)


def test_healthy_show_needs_no_advice():
    """Numbers come along with those of ingest; there is nothing to advise."""
    health = report(SHOW, {"rtt_ms": 12.0}, ())

    assert health.advice == ()
    assert health.facts["kbps"] == 3000
    assert health.facts["rtt_ms"] == 12.0


def test_long_gop_names_the_setting_once():
    """The exact OBS setting, and ingest's sentence on the same is left out."""
    show = replace(SHOW, is_reencoding=True, gop_ms=8300)

    upload = ("Keyframes come 8.3 s apart", "1 % of your upload is lost")
    health = report(show, {}, upload, Encoder.OBS)

    assert "8.3 s apart" in health.advice[0]
    assert "Keyframe interval: set 2 s." in health.advice[0]
    assert health.advice[1:] == ("1 % of your upload is lost",)


def test_b_frames_name_the_setting():
    """Re-encoding because of B-frames is not blamed on keyframes."""
    show = replace(SHOW, is_reencoding=True, has_b_frames=True)
    (advice,) = report(show, {}, (), Encoder.OBS).advice

    assert "B-frames to 0" in advice


def test_more_than_viewers_can_download_is_told():
    """An upload of 30 Mbit/s went well, and hardly anybody could watch it."""
    (advice,) = report(replace(SHOW, source_bps=30_000_000), {}, ()).advice

    assert "30 Mbit/s" in advice
    assert "6,000 kbit/s" in advice
    assert report(replace(SHOW, source_bps=12_000_000), {}, ()).advice == ()


AGENTS = {
    "Mozilla/5.0 (OBS-Studio/32.1.2; Linux x86_64; en-US)": "OBS",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36": "browser",
    "Lavf/62.12.102": "FFmpeg",
    "vilokanam-publish (FFmpeg)": "FFmpeg",
    "GStreamer whip/1.22": "GStreamer",
}


@pytest.mark.parametrize("user_agent", AGENTS)
def test_c13_advice_names_the_program_at_hand(user_agent):
    """Who publishes from a browser is not told to change OBS."""
    kind = encoder_of(user_agent)
    late = replace(SHOW, is_reencoding=True, late_gop_ms=8300)
    texts = [
        *report(late, {}, (), kind).advice,
        *report(replace(late, has_b_frames=True), {}, (), kind).advice,
    ]

    assert len(texts) == 2
    for text in texts:
        named = {name for name in AGENTS.values() if name in text}
        assert named == {AGENTS[user_agent]}, text


def test_c13_advice_never_contradicts_itself():
    """It tells the distance that was too long, not the newest, which fits again."""
    late = replace(SHOW, is_reencoding=True, gop_ms=1900, late_gop_ms=3400)
    (advice,) = report(late, {}, ("Keyframes come 5.0 s apart; a setting",), Encoder.BROWSER).advice

    assert "3.4 s apart" in advice
    assert "1.9" not in advice
    assert "set 2 s" not in advice


def test_ignored_video_says_how_to_show_it():
    """A show that began with sound only stays so."""
    (advice,) = report(replace(SHOW, is_video_ignored=True), {}, ()).advice

    assert "start again" in advice


@pytest.mark.parametrize(
    ("frames", "span_ms", "rate"),
    [(120, 4000, 30_000), (120, 4004, 29_970), (120, 5005, 23_976), (70, 10_000, 7000), (0, 5, 0)],
)
def test_frame_rate_is_the_usual_one_when_near(frames, span_ms, rate):
    """FRAME-RATE reads 29.970, not 29.968."""
    assert frame_rate_milli(frames, span_ms) == rate
