"""Sound without a hole, whatever came late."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.hls.sound_track import SAMPLES_MAX, SoundTrack
from mediaserver.media import AudioFormat, Sample, Track

ORIGIN = 1_700_000_000_000
STEREO = AudioFormat(b"\x11\x90", 2)


def frame(number: int, shift: int = 0) -> Sample:
    return Sample(Track.AUDIO, (b"a%d" % number,), ORIGIN * 48 + number * 1024 + shift, True)


def test_r2_a_hole_in_the_sound_is_filled_with_silence() -> None:
    """A busy machine's encoder misses some frames: what follows is not shifted by them."""
    track = SoundTrack(STEREO)
    for number in (0, 1, 2, 7, 8, 9):
        track.add(frame(number))

    taken = track.take(ORIGIN, ORIGIN + 150, is_given_up=False)

    assert [sample.time for sample in taken] == [frame(n).time for n in range(8)]
    assert [sample.payload[0][:1] == b"a" for sample in taken] == [True] * 3 + [False] * 4 + [True]
    assert track.filled == 4


def test_r2_sound_that_does_not_come_is_silence_and_late_frames_are_left_out() -> None:
    """Parts are made without it after some seconds; what comes then has no place any more."""
    track = SoundTrack(STEREO)
    first = track.take(ORIGIN, ORIGIN + 500, is_given_up=True)
    for number in range(40):
        track.add(frame(number))
    second = track.take(ORIGIN + 500, ORIGIN + 800, is_given_up=False)

    assert [sample.time for sample in first] == [frame(n).time for n in range(24)]
    assert [sample.payload[0] for sample in second] == [b"a%d" % n for n in range(24, 38)]
    assert (track.filled, track.dropped) == (24, 24)


def test_r2_sound_that_begins_late_begins_with_silence() -> None:
    """A publisher's microphone opens after its camera."""
    track = SoundTrack(STEREO)
    track.add(frame(10, shift=-300))

    taken = track.take(ORIGIN, ORIGIN + 230, is_given_up=False)

    assert len(taken) == 10
    assert taken[-1].payload == (b"a10",)


def test_r2_time_that_breaks_is_no_hole() -> None:
    """Absent time is not made up for."""
    track = SoundTrack(STEREO)
    track.take(ORIGIN, ORIGIN + 100, is_given_up=True)
    track.add(frame(4691))

    taken = track.take(ORIGIN + 100_060, ORIGIN + 100_080, is_given_up=False)

    assert [sample.payload for sample in taken] == [(b"a4691",)]


@given(
    st.lists(st.booleans(), min_size=1, max_size=200), st.lists(st.integers(20, 700), min_size=1)
)
def test_r2_frames_follow_each_other_whatever_is_missing(
    came: list[bool], lengths: list[int]
) -> None:
    """Each begins where the one before ends, over all parts."""
    track = SoundTrack(STEREO)
    for number, is_there in enumerate(came):
        if is_there:
            track.add(frame(number))
    taken: list[Sample] = []
    at_ms = ORIGIN
    for length_ms in lengths:
        taken += track.take(at_ms, at_ms + length_ms, is_given_up=True)
        at_ms += length_ms

    assert all(later.time - sooner.time == 1024 for sooner, later in pairwise(taken))
    assert taken[0].time == ORIGIN * 48
    assert at_ms * 48 <= taken[-1].time + 1024 < at_ms * 48 + 1024


def test_r2_what_waits_is_bounded() -> None:
    """Whatever goes wrong with the cuts."""
    track = SoundTrack(STEREO)
    for number in range(SAMPLES_MAX + 5):
        track.add(frame(number))

    assert track.dropped == 5
