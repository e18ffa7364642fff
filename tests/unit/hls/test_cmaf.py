"""Inits and chunks: what is written can be read back, and nothing else is accepted."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import MediaFormatError
from mediaserver.hls import cmaf
from mediaserver.hls.cmaf import AUDIO_TRACK, VIDEO_TRACK, ChunkSample, TrackRun
from mediaserver.media import AudioFormat, VideoFormat
from tests.support import cmaf_reader

SPS_HIGH = bytes.fromhex("6764001facd9405005bb011000000300100000030320f1831960")
VIDEO = VideoFormat(SPS_HIGH, bytes.fromhex("68ebe3cb22c0"), 1280, 720, "avc1.64001f")
AUDIO = AudioFormat(b"\x11\x90", 2)


def chunk_samples(is_sync_free):
    return st.builds(
        ChunkSample,
        st.lists(st.binary(min_size=1, max_size=40), max_size=3).map(tuple)
        if is_sync_free
        else st.tuples(st.binary(max_size=40)),
        st.integers(1, 2**31) if is_sync_free else st.just(1024),
        st.booleans() if is_sync_free else st.just(True),
    )


RUNS = st.tuples(
    st.one_of(
        st.none(),
        st.builds(
            TrackRun,
            st.just(VIDEO_TRACK),
            st.integers(0, 2**63),
            st.lists(chunk_samples(True), min_size=1, max_size=9).map(tuple),
        ),
    ),
    st.one_of(
        st.none(),
        st.builds(
            TrackRun,
            st.just(AUDIO_TRACK),
            st.integers(0, 2**63),
            st.lists(chunk_samples(False), min_size=1, max_size=9).map(tuple),
        ),
    ),
).map(lambda pair: tuple(run for run in pair if run is not None))


def test_bytes_are_as_they_always_were():
    """An edge that holds an init, a player between two parts: none sees our next release."""
    golden = Path(__file__).resolve().parents[2] / "golden" / "cmaf.txt"
    first = ChunkSample((b"\x65" + bytes(range(20)),), 3000, True)
    second = ChunkSample((b"\x41\x9a\x01", b"\x41\x9a\x02"), 3003, False)
    sound = tuple(ChunkSample((bytes([value]) * 5,), 1024, True) for value in range(3))
    runs = (
        TrackRun(VIDEO_TRACK, 1_234_567_890_123, (first, second)),
        TrackRun(AUDIO_TRACK, 987_654_321, sound),
    )

    made = {
        "init video audio": cmaf.make_init(VIDEO, AUDIO),
        "init video": cmaf.make_init(VIDEO, None),
        "init audio": cmaf.make_init(None, AUDIO),
        "chunk": cmaf.make_chunk(7, runs),
    }

    lines = [f"{name}: {value.hex()}" for name, value in made.items()]
    assert lines == golden.read_text().splitlines()[1:]


@pytest.mark.parametrize(
    ("video", "audio", "handlers"),
    [(VIDEO, AUDIO, ["vide", "soun"]), (VIDEO, None, ["vide"]), (None, AUDIO, ["soun"])],
)
def test_init_describes_its_tracks(video, audio, handlers):
    """An init names each track, its timescale and its size."""
    tracks = cmaf_reader.read_init(cmaf.make_init(video, audio))

    assert [track.handler for track in tracks] == handlers
    for track in tracks:
        is_video = track.handler == "vide"
        assert track.timescale == (90_000 if is_video else 48_000)
        assert (track.width, track.height) == ((1280, 720) if is_video else (0, 0))


def test_init_carries_the_parameter_sets():
    """A decoder finds SPS, PPS and, for High, the sample format in avcC."""
    init = cmaf.make_init(VIDEO, None)

    avcc = init[init.index(b"avcC") + 4 :]
    assert avcc.startswith(
        b"\x01\x64\x00\x1f\xff\xe1" + struct.pack(">H", len(SPS_HIGH)) + SPS_HIGH
    )
    assert b"\xfd\xf8\xf8\x00" in avcc[: 8 + len(SPS_HIGH) + 20]


def test_f12_init_says_the_shape_of_pixels():
    """1440x1080 with pixels of 4:3 is shown as 1920x1080 by players that read no SPS."""
    sps = bytes.fromhex("67640028acb402d0113f2e1c20000003002000000651e30654")
    init = cmaf.make_init(VideoFormat(sps, b"\x68\xce", 1440, 1080, "avc1.640028"), None)

    assert b"\0\0\0\x10pasp" + struct.pack(">II", 4, 3) in init
    assert struct.pack(">HHHH", 1920, 0, 1080, 0) in init
    assert [track.width for track in cmaf_reader.read_init(init)] == [1440]
    assert b"pasp" not in cmaf.make_init(VIDEO, None)


def test_init_hash_is_16_hexadecimal_digits_of_the_bytes():
    """Another init has another address."""
    both, video_only = cmaf.make_init(VIDEO, AUDIO), cmaf.make_init(VIDEO, None)

    assert len(cmaf.init_hash(both)) == 16
    assert int(cmaf.init_hash(both), 16) >= 0
    assert cmaf.init_hash(both) != cmaf.init_hash(video_only)


def test_init_refuses_an_sps_that_describes_nothing():
    """Three bytes are no SPS."""
    with pytest.raises(MediaFormatError, match="3 bytes"):
        cmaf.make_init(VideoFormat(b"\x67\x64\x00", b"\x68", 2, 2, "avc1"), None)


@given(st.integers(0, 2**32 - 1), RUNS)
def test_chunk_is_read_back_as_it_was_written(sequence, runs):
    """Times, durations, sync marks and bytes survive; nothing is left over."""
    chunk = cmaf_reader.read_chunk(cmaf.make_chunk(sequence, runs))

    assert chunk == cmaf_reader.Chunk(sequence, runs)


def test_chunk_is_one_moof_and_one_mdat():
    """Players and caches see the smallest legal fragment."""
    run = TrackRun(VIDEO_TRACK, 5, (ChunkSample((b"abc", b"d"), 3000, is_sync=True),))

    boxes = cmaf_reader.read_boxes(cmaf.make_chunk(1, [run]))

    assert [box.kind for box in boxes] == [b"moof", b"mdat"]
    assert boxes[1].body == b"\0\0\0\3abc\0\0\0\1d"


def test_chunk_whose_samples_do_not_fill_it_is_refused():
    """A byte too many is a fault, not padding."""
    run = TrackRun(VIDEO_TRACK, 5, (ChunkSample((b"abc", b"d"), 3000, is_sync=True),))
    data = bytearray(cmaf.make_chunk(1, [run]) + b"x")
    data[-21:-17] = struct.pack(">I", 21)

    with pytest.raises(MediaFormatError, match="samples end at"):
        cmaf_reader.read_chunk(bytes(data))
