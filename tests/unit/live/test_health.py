"""Numbers and advice for the creator."""

from __future__ import annotations

from dataclasses import replace

import pytest

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

    health = report(show, {}, ("set the keyframe interval to 2 s", "1 % of your upload is lost"))

    assert "8.3 s apart" in health.advice[0]
    assert "Keyframe interval: set 2 s." in health.advice[0]
    assert health.advice[1:] == ("1 % of your upload is lost",)


def test_b_frames_name_the_setting():
    """Re-encoding because of B-frames is not blamed on keyframes."""
    (advice,) = report(replace(SHOW, is_reencoding=True, has_b_frames=True), {}, ()).advice

    assert "B-frames to 0" in advice


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
