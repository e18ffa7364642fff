"""H.264 bytes: NAL units, and what parameter sets and slices say."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import MediaFormatError
from mediaserver.h264 import (
    SampleFormat,
    SpsFacts,
    begins_picture,
    is_b_slice,
    join_annex_b,
    parse_sps,
    sample_format,
    split_annex_b,
)
from tests.support.sps import sps_of

HD = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
SMALL = bytes.fromhex("6742c01eda0280bfe584000003000400000300f03c58ba80")
REORDERED = bytes.fromhex("6764001facd9405005ba10000003001000000303c626000f424001e84e4c30078c18cb")
ANAMORPHIC = bytes.fromhex("67640028acb402d0113f2e1c20000003002000000651e30654")
PAL_WIDE = bytes.fromhex("6764001eacb405a0937fe0020001e2000003000200000300651e2c5d40")
INTERLACED = bytes.fromhex("674d401ff406c3de6e10000003001000000303c1f162ea")
nal = st.binary(min_size=1, max_size=40).map(
    lambda raw: b"\x61" + raw.replace(b"\x00", b"\x01") + b"\x80"
)


@pytest.mark.parametrize(
    ("sps", "facts"),
    [
        (HD, SpsFacts(1920, 1080, 30_000, 0, "avc1.42c028")),
        (SMALL, SpsFacts(640, 360, 30_000, 0, "avc1.42c01e")),
        (REORDERED, SpsFacts(1280, 720, 30_000, 2, "avc1.64001f")),
        (ANAMORPHIC, SpsFacts(1440, 1080, 25_000, 0, "avc1.640028", (4, 3))),
        (PAL_WIDE, SpsFacts(720, 576, 25_000, 0, "avc1.64001e", (16, 15))),
    ],
)
def test_an_sps_tells_size_rate_and_reordering(sps: bytes, facts: SpsFacts) -> None:
    """The playlist's RESOLUTION and CODECS are those of the picture, whatever SDP said."""
    assert parse_sps(sps) == facts


def test_an_interlaced_sps_counts_both_fields() -> None:
    """An interlaced source is not taken for half its height."""
    facts = parse_sps(INTERLACED)

    assert (facts.width, facts.height) == (854, 480)


@given(st.binary(max_size=80))
def test_any_bytes_are_an_sps_or_a_named_error(raw: bytes) -> None:
    """A hostile publisher ends its own stream, never the worker."""
    with contextlib.suppress(MediaFormatError):
        parse_sps(b"\x67" + raw)


@given(st.integers(0, len(REORDERED) - 1), st.integers(0, 255))
def test_a_damaged_sps_is_a_named_error_or_a_size(index: int, value: int) -> None:
    """One flipped byte gives a picture of a possible size, or MediaFormatError."""
    raw = bytearray(REORDERED)
    raw[index] = value
    with contextlib.suppress(MediaFormatError):
        facts = parse_sps(bytes(raw))
        assert 0 < facts.width <= 16384
        assert 0 < facts.height <= 16384


@given(st.lists(nal, min_size=1, max_size=6), st.sampled_from([b"\0\0\1", b"\0\0\0\1"]))
def test_annexb_is_split_where_it_was_joined(nals: list[bytes], code: bytes) -> None:
    """No byte of a picture is lost between three- and four-byte start codes."""
    assert split_annex_b(b"".join(code + n for n in nals)) == tuple(nals)
    assert split_annex_b(join_annex_b(tuple(nals))) == tuple(nals)


@pytest.mark.parametrize(
    ("raw", "is_b"),
    [(b"\x41\x9a\x02", False), (b"\x01\x9e\x41", True), (b"\x01\xa8", True), (b"\x65\x88", False)],
)
def test_b_slices_are_seen(raw: bytes, is_b: bool) -> None:
    """Reordered pictures are found even when the SPS does not announce them."""
    assert is_b_slice(raw) is is_b


@pytest.mark.parametrize(
    ("raw", "is_first"),
    [(b"\x65\x88", True), (b"\x41\x9a", True), (b"\x65\x10", False), (b"\x65", False)],
)
def test_first_slices_are_told_from_later_ones(raw: bytes, is_first: bool) -> None:
    """A picture whose beginning was lost is no place to start."""
    assert begins_picture(raw) is is_first


@pytest.mark.parametrize(
    ("sps", "expected"),
    [
        (HD, SampleFormat(1, 0, 0)),
        (REORDERED, SampleFormat(1, 0, 0)),
        # High 4:2:2, 10 bits: profile 122, then ue(v) 0, 2, 2, 2.
        (b"\x67\x7a\x00\x1f" + bytes([0b10110110, 0b11000000]), SampleFormat(2, 2, 2)),
    ],
)
def test_an_sps_tells_how_samples_are_stored(sps: bytes, expected: SampleFormat) -> None:
    """AvcC repeats chroma format and bit depths, so that players choose the right decoder."""
    assert sample_format(sps) == expected


@given(st.binary(max_size=40), st.sampled_from([100, 110, 144, 244]))
def test_any_bytes_are_a_sample_format_or_a_named_error(tail: bytes, profile: int) -> None:
    """A cut SPS is a MediaFormatError, never another."""
    with contextlib.suppress(MediaFormatError):
        sample_format(bytes([0x67, profile]) + tail)


@pytest.mark.parametrize(
    ("width", "height", "references"),
    [(4096, 2304, 5), (2304, 4096, 1), (3840, 2160, 5), (1920, 1088, 16), (640, 368, 16)],
)
def test_a_m8_sizes_and_references_of_level_5_2_are_taken(width, height, references) -> None:
    """Every real encoder keeps to them."""
    facts = parse_sps(sps_of(width, height, references))

    assert (facts.width, facts.height) == (width, height)


@pytest.mark.parametrize(
    ("sps", "words"),
    [
        (sps_of(8192, 8192, 1), "8192x8192 pixels and at most 4096x2304"),
        (sps_of(16384, 640, 1), "16384x640 pixels"),
        (sps_of(8192, 8192, 1, crop=472), "8192x8192 pixels"),
        (sps_of(4096, 2304, 6), "6 reference pictures and at 4096x2304 at most 5"),
        (sps_of(640, 368, 17), "17 reference pictures and at 640x368 at most 16"),
    ],
)
def test_a_m8_what_a_decoder_could_not_hold_is_refused_in_words(sps: bytes, words: str) -> None:
    """8192 x 8192 at 0.8 Mbit/s took a worker to 2.3 GiB; cropping it hides nothing."""
    with pytest.raises(MediaFormatError, match=words):
        parse_sps(sps)
