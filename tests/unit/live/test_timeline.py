"""The timeline: whole ms, never backwards, never a step, always near the server's clock."""

import random
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mediaserver.live.timeline import (
    FAST_SLEW_PPM,
    GAP_MS,
    SLEW_PPM,
    VIDEO_DEAD_BAND_US,
    Placed,
    Timeline,
)
from mediaserver.media import AccessUnit, SenderReport, Track
from tests.support.examples import examples

NOW = 1_800_000_000_123
ANYWHERE = 4_000_000_000


def video(rtp_time: int, follows_loss: bool = False) -> AccessUnit:
    return AccessUnit(Track.VIDEO, (), rtp_time, 90_000, True, 0.0, follows_loss)


def audio(rtp_time: int) -> AccessUnit:
    return AccessUnit(Track.AUDIO, (), rtp_time, 48_000, True, 0.0)


def test_the_first_picture_is_at_the_servers_clock() -> None:
    """A viewer sees the time at which the picture came."""
    assert Timeline(0).video(video(ANYWHERE), NOW) == Placed(NOW, is_discontinuity=False)


def test_a_timeline_begins_no_earlier_than_its_floor() -> None:
    """No second that was sold before is sold again after the clock went back."""
    timeline = Timeline(NOW + 1500)

    assert timeline.video(video(ANYWHERE), NOW).time == NOW + 1500
    assert timeline.audio(audio(7), NOW).time == (NOW + 1500) * 48


@pytest.mark.parametrize(("rate", "frames", "ms"), [(30, 15, 500), (60, 30, 500), (25, 50, 2000)])
def test_frames_add_up_to_exact_parts(rate: int, frames: int, ms: int) -> None:
    """Fifteen frames at 30 per second are a part of exactly half a second, always."""
    timeline = Timeline(0)
    step = 90_000 // rate

    times = [timeline.video(video(9 + n * step), NOW + n * 1000 // rate).time for n in range(9000)]

    assert all(b - a == ms for a, b in zip(times[::frames], times[frames::frames], strict=False))


@examples(3)
@example(drift_ppm=-200, jitter_ms=60, seed=1)
@example(drift_ppm=200, jitter_ms=60, seed=2)
@given(drift_ppm=st.integers(-200, 200), jitter_ms=st.integers(0, 60), seed=st.integers(0, 9999))
def test_hours_of_drift_are_slewed_never_stepped(drift_ppm: int, jitter_ms: int, seed: int) -> None:
    """A show of three hours stays at the clock, and no frame is moved by more than the slew."""
    rng = random.Random(seed)
    timeline = Timeline(0)
    step_rtp, last = 22_500, None
    for n in range(4 * 3 * 3600):
        true_ms = n * 250 * (1 + drift_ppm / 1e6)
        now = NOW + int(true_ms) + (int(rng.random() * (jitter_ms + 1)) if n else 0)

        placed = timeline.video(video(n * step_rtp), now)

        assert not placed.is_discontinuity
        if last is not None:
            slew_ms = 250 * SLEW_PPM / 1e6
            assert 250 - slew_ms - 1 <= placed.time - last <= 250 + slew_ms + 1
        last = placed.time
        if n > 4 * 60:
            error = placed.time - (NOW + true_ms)
            assert abs(error) <= VIDEO_DEAD_BAND_US / 1000 + jitter_ms + 5


@examples(200)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.integers(-400_000, 400_000) | st.integers(0, 6000),
            st.integers(-100, 3000),
        ),
        max_size=60,
    )
)
def test_time_grows_whatever_comes(events: list[tuple[bool, int, int]]) -> None:
    """No publisher, however broken, makes time stop or run back on either track."""
    timeline = Timeline(NOW)
    rtp, now = {True: 0, False: 0}, NOW
    times: dict[bool, list[int]] = {True: [], False: []}
    end_of_all = 0
    for is_video, jump, wait in events:
        now += wait
        rtp[is_video] += jump
        unit = video(rtp[True]) if is_video else audio(rtp[False])
        placed = (timeline.video if is_video else timeline.audio)(unit, now)
        ms = placed.time if is_video else placed.time // 48
        if placed.is_discontinuity:
            assert ms >= end_of_all
        end_of_all = max(end_of_all, ms)
        times[is_video].append(placed.time)

    assert all(a < b for row in times.values() for a, b in pairwise(row))
    assert all(t >= NOW for t in times[True])


@pytest.mark.parametrize("jump", [90_000 * 5, -90_000 * 5, 90_000 * (GAP_MS + 50) // 1000])
def test_absent_media_is_a_discontinuity_at_the_clock(jump: int) -> None:
    """After a hole the show goes on at the clock, and players learn of it."""
    timeline = Timeline(0)
    for n in range(30):
        timeline.video(video(ANYWHERE + n * 3000), NOW + n * 33)
        last_audio = timeline.audio(audio(n * 1600), NOW + n * 33)

    placed = timeline.video(video(ANYWHERE + 30 * 3000 + jump), NOW + 6000)

    assert placed == Placed(NOW + 6000, is_discontinuity=True)
    following = timeline.audio(audio(30 * 1600), NOW + 6001)
    assert following.time > last_audio.time
    assert not following.is_discontinuity
    assert following.time == (NOW + 6001) * 48


def test_a_short_loss_is_no_discontinuity() -> None:
    """Half a second of lost packets freezes the picture and breaks nothing."""
    timeline = Timeline(0)
    timeline.video(video(0), NOW)

    placed = timeline.video(video(45_000, follows_loss=True), NOW + 520)

    assert placed == Placed(NOW + 500, is_discontinuity=False)


def test_a_publisher_that_slept_is_placed_at_the_clock_again() -> None:
    """A laptop that was suspended does not leave its viewers ten seconds behind indefinitely."""
    timeline = Timeline(0)
    for n in range(330):
        timeline.video(video(n * 3000), NOW + n * 33)

    placed = [timeline.video(video(n * 3000), NOW + 10_000 + n * 33) for n in range(330, 800)]

    breaks = [p for p in placed if p.is_discontinuity]
    assert len(breaks) == 1
    assert abs(placed[-1].time - (NOW + 10_000 + 799 * 33)) < 100


def test_a_burst_after_a_stall_changes_nothing() -> None:
    """A network that stopped for two seconds and then delivers all is not a new timeline."""
    timeline = Timeline(0)
    for n in range(600):
        arrival = max(n * 1000 // 30, 12_000 if 300 <= n < 360 else 0)

        placed = timeline.video(video(n * 3000), NOW + arrival)

        assert not placed.is_discontinuity
        assert abs(placed.time - (NOW + n * 1000 / 30)) <= 1


def test_b_frames_get_growing_evenly_spaced_times() -> None:
    """Display times that run back by a few frames are sorted, not taken for a break."""
    timeline = Timeline(0)
    order = [0, *(d for g in range(200) for d in (3 * g + 3, 3 * g + 1, 3 * g + 2))]

    placed = [timeline.video(video(d * 3000), NOW + n * 1000 // 30) for n, d in enumerate(order)]

    assert not any(p.is_discontinuity for p in placed)
    assert {b.time - a.time for a, b in pairwise(placed[20:])} <= {33, 34}
    assert abs(placed[-1].time - (NOW + 600 * 1000 // 30)) <= 2


def test_b_frames_follow_the_clock_too() -> None:
    """The drift of a publisher with B-frames is slewed like any other's."""
    timeline = Timeline(0)
    order = [0, *(d for g in range(6000) for d in (3 * g + 3, 3 * g + 1, 3 * g + 2))]

    for n, d in enumerate(order):
        now_ms = NOW + int(n * 1000 / 30 * 1.0002)
        placed = timeline.video(video(d * 3000), now_ms)

    assert abs(placed.time - now_ms) <= VIDEO_DEAD_BAND_US / 1000 + 2


def play(timeline: Timeline, seconds: float, audio_late_ms: int) -> list[tuple[float, float]]:
    """Push both tracks; return (when, how much earlier sound is placed than the picture) in ms."""
    seen: list[tuple[float, float]] = []
    for n in range(int(seconds * 50)):
        at = n * 20
        picture = timeline.video(video(ANYWHERE + n * 1800), NOW + at).time - (NOW + at)
        sound = timeline.audio(audio(5 + n * 960), NOW + at + audio_late_ms).time / 48 - (NOW + at)
        seen.append((at, picture - sound))
    return seen


def test_sound_starts_on_arrival_without_any_report() -> None:
    """Nothing waits for a sender report that may never come."""
    seen = play(Timeline(0), 20, audio_late_ms=30)

    assert {round(off) for _, off in seen} <= {-31, -30, -29}


@pytest.mark.parametrize(("late_ms", "within_s"), [(-200, 25), (90, 12), (-8, 1)])
def test_sound_slews_to_the_sender_reports(late_ms: int, within_s: int) -> None:
    """Once the sender says what belongs together, sound glides there without a jump."""
    timeline = Timeline(0)
    timeline.report(SenderReport(Track.AUDIO, 77.0, 5, 48_000))
    timeline.report(SenderReport(Track.VIDEO, 77.0, ANYWHERE, 90_000))

    seen = play(timeline, 40, audio_late_ms=late_ms)

    assert round(seen[0][1]) == -late_ms
    assert all(abs(b - a) <= 20 * FAST_SLEW_PPM / 1e6 + 1 for (_, a), (_, b) in pairwise(seen))
    assert all(abs(off) <= 11 for at, off in seen if at > within_s * 1000)


def test_a_report_that_contradicts_the_clock_is_not_followed() -> None:
    """A sender whose reports are an hour apart does not take the sound away."""
    timeline = Timeline(0)
    timeline.report(SenderReport(Track.AUDIO, 3677.0, 5, 48_000))
    timeline.report(SenderReport(Track.VIDEO, 77.0, ANYWHERE, 90_000))

    assert all(abs(off) <= 2 for _, off in play(timeline, 10, audio_late_ms=0))


@pytest.mark.parametrize("first", ["audio", "video"])
def test_either_track_may_come_first(first: str) -> None:
    """Whatever comes first begins the show; the other joins the same timeline."""
    timeline = Timeline(0)
    if first == "audio":
        sound = timeline.audio(audio(99), NOW)
        picture = timeline.video(video(ANYWHERE), NOW + 40)
    else:
        picture = timeline.video(video(ANYWHERE), NOW)
        sound = timeline.audio(audio(99), NOW + 40)

    assert abs(abs(picture.time * 48 - sound.time) - 40 * 48) == 0
    assert not picture.is_discontinuity
    assert not sound.is_discontinuity


def test_sound_alone_runs_on_its_own_and_breaks_on_a_gap() -> None:
    """A radio show has a timeline too."""
    timeline = Timeline(0)
    times = [timeline.audio(audio(n * 960), NOW + n * 20).time for n in range(200)]

    placed = timeline.audio(audio(200 * 960 + 48_000 * 3), NOW + 7000)

    assert {b - a for a, b in pairwise(times)} == {960}
    assert placed == Placed((NOW + 7000) * 48, is_discontinuity=True)


def test_a_long_mute_is_no_discontinuity_beside_a_picture() -> None:
    """Thirty seconds of a closed microphone leave the show whole and the sound in step."""
    timeline = Timeline(0)
    timeline.audio(audio(0), NOW)
    for n in range(900):
        timeline.video(video(n * 3000), NOW + n * 1000 // 30)

    placed = timeline.audio(audio(30 * 48_000), NOW + 30_040)

    assert placed == Placed((NOW + 30_000) * 48, is_discontinuity=False)


def test_sound_whose_clock_began_anew_is_placed_on_arrival() -> None:
    """Changing the microphone in mid-show does not move the sound away from the picture."""
    timeline = Timeline(0)
    for n in range(90):
        timeline.video(video(n * 3000), NOW + n * 1000 // 30)
        timeline.audio(audio(n * 1600), NOW + n * 1000 // 30)

    placed = timeline.audio(audio(-50_000_000), NOW + 3010)

    assert abs(placed.time - (NOW + 3010) * 48) <= 48
    assert not placed.is_discontinuity
