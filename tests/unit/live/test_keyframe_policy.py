"""When the publisher's keyframes do not come where segments should end."""

from __future__ import annotations

from mediaserver.hls.segmenter import Segmenter
from mediaserver.hls.settings import HlsSettings
from mediaserver.live.keyframe_policy import KeyframePolicy


def play(policy, segmenter, start_ms, seconds, gop, *, must_encode=False):
    """Play 25 fps; return ([break times], times asked for a keyframe)."""
    breaks, asked = [], 0
    for number in range(seconds * 25):
        at_ms = start_ms + number * 40
        decision = policy.decide(at_ms, number % gop == 0, segmenter, must_encode)
        segmenter.frame(at_ms, decision.is_idr, decision.is_break)
        asked += decision.is_asking
        if decision.is_break:
            breaks.append(at_ms)
    return breaks, asked


def test_fitting_keyframes_are_left_alone():
    """A creator who set 2 s is never asked, never encoded again."""
    policy = KeyframePolicy()

    breaks, asked = play(policy, Segmenter(HlsSettings(), 0), 0, 30, gop=50)

    assert breaks == []
    assert asked <= 2  # before its rhythm is known
    assert policy.gop_ms == 2000


def test_keyframes_are_asked_for_before_the_source_is_encoded():
    """A browser gets its chance from the segment target on."""
    policy = KeyframePolicy()

    breaks, asked = play(policy, Segmenter(HlsSettings(), 0), 0, 4, gop=1000)

    assert len(breaks) == 1
    assert 3000 < breaks[0] < 3477
    assert asked >= 25
    assert policy.is_reencoding


def test_each_return_must_be_earned_for_longer():
    """A publisher that keeps changing its mind does not make a discontinuity every few seconds."""
    policy, segmenter = KeyframePolicy(), Segmenter(HlsSettings(), 0)
    play(policy, segmenter, 0, 4, gop=1000)
    first, _ = play(policy, segmenter, 10_000, 30, gop=50)
    play(policy, segmenter, 50_000, 4, gop=1000)
    second, _ = play(policy, segmenter, 60_000, 30, gop=50)

    assert 10_000 <= first[0] - 10_000 <= 12_000
    assert 20_000 <= second[0] - 60_000 <= 22_000


def test_b_frames_are_never_passed_through():
    """However well its keyframes fit."""
    policy, segmenter = KeyframePolicy(), Segmenter(HlsSettings(), 0)

    breaks, _ = play(policy, segmenter, 0, 60, gop=50, must_encode=True)

    assert breaks == []
    assert policy.is_reencoding
