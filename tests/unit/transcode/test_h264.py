"""H.264 bytes: what is in an access unit, and what its parameter sets say."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import MediaFormatError
from mediaserver.transcode.h264 import (
    SampleMaker,
    SpsFacts,
    avcc,
    is_b_slice,
    join_annexb,
    parse_sps,
    split_annexb,
)

HD = bytes.fromhex("6742c028da01e0089f9610000003001000000303c0f1832a")
SMALL = bytes.fromhex("6742c01eda0280bfe584000003000400000300f03c58ba80")
REORDERED = bytes.fromhex("6764001facd9405005ba10000003001000000303c626000f424001e84e4c30078c18cb")
INTERLACED = bytes.fromhex("674d401ff406c3de6e10000003001000000303c1f162ea")
PPS = bytes.fromhex("68ce3c80")
OTHER_PPS = bytes.fromhex("68ebecb22c")
IDR = b"\x65\x88\x84\x01"
SLICE = b"\x41\x9a\x02\x03"
nal = st.binary(min_size=1, max_size=40).map(
    lambda raw: b"\x61" + raw.replace(b"\x00", b"\x01") + b"\x80"
)


@pytest.mark.parametrize(
    ("sps", "facts"),
    [
        (HD, SpsFacts(1920, 1080, 30_000, 0, "avc1.42c028")),
        (SMALL, SpsFacts(640, 360, 30_000, 0, "avc1.42c01e")),
        (REORDERED, SpsFacts(1280, 720, 30_000, 2, "avc1.64001f")),
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
    assert split_annexb(b"".join(code + n for n in nals)) == tuple(nals)
    assert split_annexb(join_annexb(tuple(nals))) == tuple(nals)


def test_avcc_has_four_byte_sizes() -> None:
    """A player finds each NAL unit by its size."""
    assert avcc((IDR, b"\x06")) == b"\0\0\0\4" + IDR + b"\0\0\0\1\x06"


def test_a_sample_has_no_parameter_sets_and_they_become_the_format() -> None:
    """Parameter sets are in the init, once, and nowhere else."""
    maker = SampleMaker()

    made = maker.make((b"\x09\xf0", HD, PPS, IDR))

    assert made == (avcc((IDR,)), True, True)
    assert maker.format is not None
    assert (maker.format.sps, maker.format.pps) == (HD, PPS)
    assert (maker.format.width, maker.format.height) == (1920, 1080)


def test_repeated_parameter_sets_change_nothing() -> None:
    """A publisher that repeats them every second does not make a discontinuity every second."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    assert maker.make((HD, PPS, IDR))[2] is False
    assert maker.make((SLICE, HD, PPS))[2] is False
    assert maker.make((IDR,))[2] is False


def test_late_parameter_sets_count_from_the_next_idr() -> None:
    """They may come by themselves, before or after the picture that needs them."""
    maker = SampleMaker()

    assert maker.make((IDR,)) == (avcc((IDR,)), True, False)
    assert maker.format is None
    assert maker.make((HD,)) == (b"", False, False)
    assert maker.make((PPS, SLICE)) == (avcc((SLICE,)), False, False)
    assert maker.make((IDR,))[2] is True


def test_another_size_is_another_format_at_the_idr() -> None:
    """A browser that goes from 360p to 1080p gets a new init exactly there."""
    maker = SampleMaker()
    maker.make((SMALL, PPS, IDR))

    assert maker.make((HD, PPS, SLICE))[2] is False
    assert maker.make((IDR,))[2] is True
    assert maker.format is not None
    assert maker.format.height == 1080


def test_a_second_picture_parameter_set_stays_in_the_sample() -> None:
    """An encoder with two of them is still decodable."""
    sample, _, _ = SampleMaker().make((HD, PPS, OTHER_PPS, IDR))

    assert sample == avcc((OTHER_PPS, IDR))


def test_an_idr_can_be_given_to_a_fresh_decoder() -> None:
    """Parameter sets that came long before are put in front of it."""
    maker = SampleMaker()
    maker.make((HD, PPS, IDR))

    assert maker.decodable((IDR,)) == join_annexb((HD, PPS, IDR))
    assert maker.decodable((HD, PPS, IDR)) == join_annexb((HD, PPS, IDR))


@pytest.mark.parametrize(
    ("raw", "is_b"),
    [(b"\x41\x9a\x02", False), (b"\x01\x9e\x41", True), (b"\x01\xa8", True), (b"\x65\x88", False)],
)
def test_b_slices_are_seen(raw: bytes, is_b: bool) -> None:
    """Reordered pictures are found even when the SPS does not announce them."""
    assert is_b_slice(raw) is is_b
