"""The reader of boxes parses or raises MediaFormatError, never another error."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import MediaFormatError
from mediaserver.hls import cmaf
from mediaserver.hls.cmaf import ChunkSample, TrackRun
from mediaserver.media import AudioFormat, VideoFormat
from tests.support import cmaf_reader

VIDEO = VideoFormat(bytes.fromhex("6764001facd940"), b"\x68\xeb", 320, 240, "avc1.64001f")
INIT = cmaf.make_init(VIDEO, AudioFormat(b"\x11\x90", 2))
CHUNK = cmaf.make_chunk(
    7,
    [
        TrackRun(
            1, 90, (ChunkSample((b"ab", b"c"), 3000, is_sync=True), ChunkSample((b"e",), 9, False))
        ),
        TrackRun(2, 48, (ChunkSample((b"fg",), 1024, is_sync=True),)),
    ],
)


@st.composite
def damaged(draw, whole):
    """Draw a file with a few bytes changed, cut out or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from("scp"))
        if how == "s" and data:
            data[at] = draw(st.integers(0, 255))
        elif how == "c":
            del data[at : at + draw(st.integers(1, 9))]
        else:
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
    return bytes(data)


@given(st.one_of(st.binary(max_size=200), damaged(INIT), damaged(CHUNK)))
def test_reader_parses_or_raises_its_own_error(data):
    for read in (cmaf_reader.read_boxes, cmaf_reader.read_init, cmaf_reader.read_chunk):
        with contextlib.suppress(MediaFormatError):
            read(data)


@given(st.binary(min_size=0, max_size=40), st.sampled_from([0x42, 100, 110, 144]))
def test_any_sps_makes_an_init_or_raises(tail, profile):
    video = VideoFormat(bytes([0x67, profile]) + tail, b"\x68", 16, 16, "avc1")
    with contextlib.suppress(MediaFormatError):
        cmaf_reader.read_init(cmaf.make_init(video, None))
