"""When the publisher's keyframes do not come where segments should end."""

from __future__ import annotations

import pytest

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


@pytest.mark.parametrize("answer_frames", [1, 4, 12])
def test_c13_a_browser_is_asked_in_time_and_never_encoded_again(answer_frames):
    """It sends keyframes when it is asked alone; request, frame and way take time."""
    policy, segmenter = KeyframePolicy(), Segmenter(HlsSettings(), 0)
    policy.meet(is_obeyed=True)
    due, lengths, last_ms = 0, [], 0
    for number in range(25 * 60):
        at_ms = number * 40
        is_idr = number == due
        decision = policy.decide(at_ms, is_idr, segmenter, must_encode=False)
        segmenter.frame(at_ms, decision.is_idr, decision.is_break)
        if is_idr and number:
            lengths.append(at_ms - last_ms)
            last_ms = at_ms
        if decision.is_asking and due <= number:
            due = number + answer_frames
        assert not decision.is_break

    assert not policy.is_reencoding
    assert all(1700 <= length <= 2300 for length in lengths)


def test_c13_the_distance_that_was_too_long_is_kept_for_the_advice():
    """The newest distance fits soon after; the advice is about the one that did not."""
    policy, segmenter = KeyframePolicy(), Segmenter(HlsSettings(), 0)
    play(policy, segmenter, 0, 4, gop=1000)
    play(policy, segmenter, 4000, 6, gop=50)

    assert policy.is_reencoding
    assert policy.gop_ms == 2000
    assert policy.late_gop_ms == 4000


def test_the_longest_distance_is_told_however_far_the_next_keyframe_is():
    """With one each 10 s the advice said "up to 3.8 s", then 7.9, 10.0, 6.9 and 5.0."""
    policy, segmenter = KeyframePolicy(), Segmenter(HlsSettings(), 0)
    seen = []
    for start_ms in range(0, 40_000, 10_000):
        play(policy, segmenter, start_ms, 9, gop=250)
        seen.append(policy.late_gop_ms)

    assert policy.is_reencoding
    assert seen == sorted(seen)
    assert seen[-1] == 10_000
