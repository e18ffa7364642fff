"""Samples and cuts to parts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.hls.packager import Packager
from mediaserver.hls.segmenter import PartBegan, PartEnded, Segmenter
from mediaserver.hls.settings import HlsSettings
from mediaserver.media import AudioFormat, Part, Sample, Slot, Track, VideoFormat
from tests.support import cmaf_reader
from tests.support.strategies import frames

VIDEO = VideoFormat(bytes.fromhex("6742c01f8c8d40"), b"\x68\xeb", 320, 240, "avc1.42c01f")
OTHER = VideoFormat(bytes.fromhex("6742c01f8c8d41"), b"\x68\xeb", 640, 480, "avc1.42c01f")
AUDIO = AudioFormat(b"\x11\x90", 2)
ORIGIN = 1_700_000_000_000


def video(offset_ms, is_idr=False):
    return Sample(Track.VIDEO, (b"v%d" % offset_ms,), ORIGIN + offset_ms, is_idr)


def audio(number):
    """Return the AAC frame that starts `number` frames after the origin."""
    return Sample(Track.AUDIO, (b"a%d" % number,), ORIGIN * 48 + number * 1024, is_idr=True)


def slot(part, start_ms, msn=0):
    return Slot(msn, part, ORIGIN + start_ms, ORIGIN + start_ms + 500)


def runs_of(part):
    """Return {track: [(payload, start in ms, duration in units)]} of a part."""
    runs: dict[int, list[tuple[bytes, float, int]]] = {}
    for run in cmaf_reader.read_chunk(part.payload).runs:
        at = run.base_time
        for sample in run.samples:
            per_ms = 90 if run.track == 1 else 48
            runs.setdefault(run.track, []).append((sample.payload[0], at / per_ms, sample.duration))
            at += sample.duration
    return runs


def feed(packager, samples):
    return [part for sample in samples for part in packager.add(sample)]


def test_part_is_made_once_its_video_and_audio_are_there():
    """A part waits for the frame after it and for sound up to its end, whichever is last."""
    packager = Packager("source", ORIGIN, VIDEO, AUDIO)
    packager.begin(slot(0, 0))
    early = feed(
        packager, [video(n * 40, n == 0) for n in range(12)] + [audio(n) for n in range(23)]
    )
    ended = packager.end(slot(0, 0), ORIGIN + 480)
    packager.begin(slot(1, 480))

    after = feed(packager, [video(480)])

    assert early == []
    assert list(ended) == []
    assert [p.slot.part for p in after] == [0]
    assert after[0].duration_us == 480_000
    assert after[0].end_ms == ORIGIN + 480
    assert after[0].is_independent
    tracks = runs_of(after[0])
    assert sum(duration for _, _, duration in tracks[1]) == 480 * 90
    assert [p for p, _, _ in tracks[2]] == [b"a%d" % n for n in range(23)]


def test_part_waits_for_late_audio():
    """Sound that is late is not left out while we still wait for it."""
    packager = Packager("source", ORIGIN, VIDEO, AUDIO)
    packager.begin(slot(0, 0))
    feed(packager, [video(0, True), *[audio(n) for n in range(22)]])
    packager.end(slot(0, 0), ORIGIN + 480)
    packager.begin(slot(1, 480))
    before = feed(packager, [video(480)])

    after = feed(packager, [audio(22)])

    assert before == []
    assert len(after) == 1
    assert len(runs_of(after[0])[2]) == 23


def test_audio_belongs_to_the_part_it_starts_in():
    """A frame across the cut is in the earlier part, once."""
    packager = Packager("source", ORIGIN, VIDEO, AUDIO)
    packager.begin(slot(0, 0))
    packager.end(slot(0, 0), ORIGIN + 500)
    packager.begin(slot(1, 500))
    packager.end(slot(1, 500), ORIGIN + 1000)
    packager.begin(slot(2, 1000))

    parts = feed(
        packager, [video(0, True), video(500), video(1000), *[audio(n) for n in range(60)]]
    )

    first, second = (runs_of(part)[2] for part in parts)
    assert first[-1][0] == b"a23"
    assert second[0][0] == b"a24"


def test_part_whose_frames_were_dropped_has_sound_only():
    """A slow rung loses its picture for a part, never the part."""
    packager = Packager("360p", ORIGIN, VIDEO, AUDIO)
    packager.begin(slot(0, 0))
    packager.end(slot(0, 0), ORIGIN + 500)
    packager.begin(slot(1, 500))
    packager.end(slot(1, 500), ORIGIN + 1000)
    packager.begin(slot(2, 1000))

    parts = feed(packager, [*[audio(n) for n in range(60)], video(0, True), video(1010, True)])

    assert [list(runs_of(part)) for part in parts] == [[1, 2], [2]]
    assert [part.is_independent for part in parts] == [True, False]


def test_long_frame_runs_on_into_the_next_part():
    """Browsers drop frames after a hole in time, so there is none."""
    packager = Packager("source", ORIGIN, VIDEO, None)
    packager.begin(slot(0, 0))
    packager.end(slot(0, 0), ORIGIN + 500)
    packager.begin(slot(1, 500))

    (part,) = feed(packager, [video(0, True), video(700)])

    assert runs_of(part)[1] == [(b"v0", 0, 700 * 90)]
    assert part.duration_us == 500_000


def test_last_frame_before_a_break_ends_with_its_part():
    """After a discontinuity time jumps; no frame is stretched over the jump."""
    packager = Packager("source", ORIGIN, VIDEO, None)
    packager.begin(slot(0, 0))
    feed(packager, [video(0, True), video(40)])
    packager.end(slot(0, 0), ORIGIN + 80)
    packager.begin(slot(0, 9000, msn=1))

    (part,) = feed(packager, [video(9000, True)])

    assert [duration for _, _, duration in runs_of(part)[1]] == [3600, 3600]


def test_skipped_picture_goes_on_at_an_idr():
    """Once we waited no longer, frames that need the missing ones are left out."""
    packager = Packager("source", ORIGIN, VIDEO, None)
    packager.begin(slot(0, 0))
    feed(packager, [video(0, True), video(40)])
    packager.end(slot(0, 0), ORIGIN + 500)
    packager.begin(slot(1, 500))

    parts = packager.skip_video(ORIGIN + 500)
    packager.end(slot(1, 500), ORIGIN + 1000)
    packager.begin(slot(2, 1000))
    later = feed(packager, [video(480), video(600), video(700, True), video(1000)])

    assert [duration for _, _, duration in runs_of(parts[0])[1]] == [3600, 460 * 90]
    assert [payload for payload, _, _ in runs_of(later[0])[1]] == [b"v700"]
    assert packager.dropped == 2


def test_new_format_holds_from_its_segment_on():
    """A segment has one init: what it began with."""
    packager = Packager("source", ORIGIN, VIDEO, None)
    old = packager.init[0]
    packager.begin(slot(0, 0))
    feed(packager, [video(0, True)])
    packager.change_video(OTHER)
    packager.add(video(480, True))
    packager.end(slot(0, 0), ORIGIN + 500)
    packager.begin(slot(0, 500, msn=1))
    packager.end(slot(0, 500, msn=1), ORIGIN + 1000)
    packager.begin(slot(1, 1000, msn=1))

    first, second = feed(packager, [video(500, True), video(1000)])

    assert first.init_hash == old
    assert [payload for payload, _, _ in runs_of(first)[1]] == [b"v0"]
    assert second.init_hash == packager.init[0] != old


def test_audio_rendition_counts_whole_frames():
    """Its parts say what they hold, and sum to their segment without a microsecond too many."""
    packager = Packager("audio", ORIGIN, None, AUDIO)
    parts: list[Part] = []
    at = 0
    for number, end in enumerate([490, 981, 1472, 1962]):
        parts += packager.begin(slot(number, at))
        parts += packager.end(slot(number, at), ORIGIN + end)
        parts += feed(
            packager, [audio(n) for n in range(at * 48 // 1024 + 1, end * 48 // 1024 + 1)]
        )
        at = end
    parts += packager.begin(slot(4, at))
    parts += feed(packager, [audio(n) for n in range(91, 95)])

    frames_held = sum(len(runs_of(part)[2]) for part in parts)
    assert len(parts) == 4
    assert all(part.is_independent for part in parts)
    assert sum(part.duration_us for part in parts) == frames_held * 1024 * 1_000_000 // 48_000


def test_finish_gives_what_there_is():
    """A lost publisher's last part is not lost."""
    packager = Packager("source", ORIGIN, VIDEO, AUDIO)
    packager.begin(slot(0, 0))
    feed(packager, [video(0, True), video(40), audio(0)])
    packager.end(slot(0, 0), ORIGIN + 80)

    (part,) = packager.finish()

    assert sum(duration for _, _, duration in runs_of(part)[1]) == 80 * 90
    assert packager.waits_from_ms is None


@given(frames(count_max=200), st.randoms(use_true_random=False))
def test_every_order_of_arrival_gives_the_same_parts(source, order):
    """Video, audio and cuts may overtake each other: what a part holds does not depend on it."""
    random_ = random.Random(order.random())
    segmenter = Segmenter(HlsSettings(), 0)
    origin = source[0][0]
    cuts = [e for frame in source for e in segmenter.frame(*frame)]
    cuts += segmenter.finish(segmenter.frame_end_ms)
    shown = [
        Sample(Track.VIDEO, (b"%d" % at,), at, is_idr or n == 0)
        for n, (at, is_idr, _) in enumerate(source)
    ]
    heard_until = (source[-1][0] - origin) * 48 // 1024 + 4
    heard = [
        Sample(Track.AUDIO, (b"a%d" % n,), origin * 48 + n * 1024, is_idr=True)
        for n in range(min(heard_until, 3000))
    ]

    def play(lines, pick):
        packager = Packager("source", origin, VIDEO, AUDIO)
        made: list[Part] = []
        lines = [list(line) for line in lines]
        while any(lines):
            thing = pick([line for line in lines if line]).pop(0)
            match thing:
                case PartBegan():
                    made += packager.begin(thing.slot)
                case PartEnded():
                    made += packager.end(thing.slot, thing.end_ms)
                case Sample():
                    made += packager.add(thing)
        return made + list(packager.finish())

    in_order = play([cuts, heard, shown], lambda lines: lines[0])
    mixed = play([cuts, heard, shown], random_.choice)

    assert mixed == in_order
    held = []
    for part in mixed:
        for units in runs_of(part).values():
            held += [payload for payload, _, _ in units]
            assert all(part.slot.start_ms <= at + origin < part.end_ms for _, at, _ in units)
    assert len(held) == len(set(held))
    assert [(p.slot.msn, p.slot.part) for p in mixed] == [
        (e.slot.msn, e.slot.part) for e in cuts if isinstance(e, PartEnded)
    ]


def test_negative_decode_time_cannot_be():
    """Sound from before the show began is left out (it would have a negative time)."""
    packager = Packager("source", ORIGIN, VIDEO, AUDIO)
    packager.begin(slot(0, 0))
    feed(packager, [audio(-2), audio(-1), audio(0), video(0, True)])
    packager.end(slot(0, 0), ORIGIN + 21)
    packager.begin(slot(1, 21))

    (part,) = packager.add(video(21))

    assert [payload for payload, _, _ in runs_of(part)[2]] == [b"a0"]
    assert packager.dropped == 2


@pytest.mark.parametrize("count", [4001, 5000])
def test_samples_without_a_cut_are_bounded(count):
    """Whatever goes wrong upstream, memory does not grow."""
    packager = Packager("source", ORIGIN, VIDEO, AUDIO)

    for number in range(count):
        packager.add(audio(number))

    assert packager.dropped == count - 4000
