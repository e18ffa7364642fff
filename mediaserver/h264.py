"""H.264 bytes (ISO/IEC 14496-10): NAL units, and what parameter sets and slices say.

The only place that reads them. Between rooms an access unit is a tuple of NAL units without start
codes or sizes; only a codec takes and gives Annex B byte streams. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.errors import MediaFormatError, PictureBoundsError

NalUnits = tuple[bytes, ...]
"""NAL units in decoding order, without start codes or sizes, none of them empty."""
START_CODE: Final = b"\x00\x00\x00\x01"
SLICE: Final = 1
IDR: Final = 5
SPS: Final = 7
PPS: Final = 8
_HIGH_PROFILES: Final = frozenset(
    {100, 110, 122, 144, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
)
"""Profiles whose SPS says chroma format and bit depth (7.3.2.1.1)."""
_NO_REORDER_PROFILES: Final = frozenset({66})
"""Baseline has no B-frames (H.264, A.2.1)."""
_EXTENDED_SAR: Final = 255
_SAMPLE_ASPECTS: Final = (
    *((1, 1), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11)),
    *((80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1)),
)
"""By aspect_ratio_idc (H.264, table E-1); 0 says nothing."""
_GOLOMB_BITS_MAX: Final = 32
_SIZE_MAX: Final = 16384
"""H.264 level 6.2 allows 16,864 in one direction; beyond is a damaged SPS."""
PIXELS_MAX: Final = 4096 * 2304
"""What level 5.2 allows (36,864 macroblocks). A decoder holds up to 16 pictures of what an SPS
names, however few bytes it has: 8192 x 8192 at 0.8 Mbit/s took a worker to 2.3 GiB."""
REFERENCE_PIXELS_MAX: Final = 184_320 * 256
"""MaxDpbMbs of level 5.2 (H.264, table A-1): five references at the largest size, 16 at 1080p."""
_REFERENCES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class SpsFacts:
    """What a sequence parameter set says.

    Attributes:
        width: Luma pixels after cropping.
        height: Luma pixels after cropping.
        frame_rate_milli: Frames per 1000 s by the VUI's timing; 0 when it does not say.
        reorder_frames: Frames that may follow later in display order, by VUI; None: not said.
        codec: RFC 6381 name.
        sample_aspect: Width and height of a pixel; (1, 1) when it does not say.
    """

    width: int
    height: int
    frame_rate_milli: int
    reorder_frames: int | None
    codec: str
    sample_aspect: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """How an SPS says that the picture's samples are stored.

    Attributes:
        chroma_format: chroma_format_idc, 0 to 3; 1 is 4:2:0.
        luma_depth: Bits of a luma sample less 8, 0 to 6.
        chroma_depth: Likewise of a chroma sample.
    """

    chroma_format: int
    luma_depth: int
    chroma_depth: int


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type."""
    return nal[0] & 31


def split_annex_b(payload: bytes) -> NalUnits:
    """Return the NAL units of an Annex B byte stream, without start codes; empty ones are left out.

    For what an encoder gives, and publishers that packetize a byte stream. Bytes before the first
    start code are dropped.
    """
    nals: list[bytes] = []
    start = payload.find(b"\x00\x00\x01")
    while start >= 0:
        start += 3
        end = payload.find(b"\x00\x00\x01", start)
        # Zeros before a start code belong to the start code, and a NAL unit never ends in one.
        nal = payload[start : end if end >= 0 else len(payload)].rstrip(b"\x00")
        if nal:
            nals.append(nal)
        start = end
    return tuple(nals)


def join_annex_b(nals: NalUnits) -> bytes:
    """Return NAL units as one Annex B byte stream with 4-byte start codes, for a decoder."""
    return b"".join([piece for nal in nals for piece in (START_CODE, nal)])


def begins_picture(nal_start: bytes) -> bool:
    """Return whether a slice is the first of its picture.

    Args:
        nal_start: The slice's NAL unit, or its first two bytes.
    """
    # first_mb_in_slice is 0 when the slice header begins with bit 1 (7.3.3 and 9.1).
    return nal_start[1:2] >= b"\x80"


def is_b_slice(nal: bytes) -> bool:
    """Return whether this NAL unit is a slice of a B picture."""
    if nal_type(nal) != SLICE:
        return False
    try:
        bits = _Bits(_unescape(nal[1:16]))
        bits.golomb()  # first_mb_in_slice
        return bits.golomb() % 5 == 1
    except MediaFormatError:
        return False


def parse_sps(sps: bytes) -> SpsFacts:
    """Read a sequence parameter set (H.264, 7.3.2.1.1 and E.1.1).

    Args:
        sps: One NAL unit without start code.

    Raises:
        MediaFormatError: It is cut short or says something impossible.
    """
    if len(sps) < 4 or nal_type(sps) != SPS:
        raise MediaFormatError(f"not a sequence parameter set: {sps[:4].hex()}")
    bits = _Bits(_unescape(sps[1:]))
    # Profile, and what only high profiles say: how samples are stored, and scaling.
    profile = bits.take(8)
    bits.take(16)  # constraint flags, level_idc
    bits.golomb()  # seq_parameter_set_id
    chroma = 1
    if profile in _HIGH_PROFILES:
        chroma = _read_sample_format(bits).chroma_format
        bits.take(1)  # qpprime_y_zero_transform_bypass_flag
        if bits.take(1):
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    # Numbering of frames, which nothing here needs.
    bits.golomb()  # log2_max_frame_num_minus4
    _skip_picture_order(bits)
    references = bits.golomb()  # max_num_ref_frames
    bits.take(1)  # gaps_in_frame_num_value_allowed_flag
    # Size in macroblocks (of fields: half the height), less the cropping in units of chroma.
    width = (bits.golomb() + 1) * 16
    map_units = bits.golomb() + 1
    is_frames_only = bits.take(1)
    height = map_units * 16 * (2 - is_frames_only)
    coded_width, coded_height = width, height  # what a decoder holds, whatever is shown of it
    if not is_frames_only:
        bits.take(1)  # mb_adaptive_frame_field_flag
    bits.take(1)  # direct_8x8_inference_flag
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * (2 - is_frames_only)
    if not (0 < width <= _SIZE_MAX and 0 < height <= _SIZE_MAX):
        raise MediaFormatError(f"a picture of {width}x{height} pixels is impossible")
    _require_decodable(coded_width, coded_height, references)
    # Shape of pixels, rate and reordering, if the VUI is there.
    aspect, rate, reorder = _read_vui(bits) if bits.take(1) else ((1, 1), 0, None)
    if profile in _NO_REORDER_PROFILES:
        reorder = 0
    return SpsFacts(width, height, rate, reorder, f"avc1.{sps[1:4].hex()}", aspect)


def sample_format(sps: bytes) -> SampleFormat:
    """Return what an SPS says of chroma and bit depth: 4:2:0 in 8 bits where it says nothing.

    Raises:
        MediaFormatError: It is cut short or says something impossible.
    """
    if sps[1] not in _HIGH_PROFILES:
        return SampleFormat(1, 0, 0)
    bits = _Bits(_unescape(sps[4:24]))
    bits.golomb()  # seq_parameter_set_id
    return _read_sample_format(bits)


def golomb_at(data: bytes, skip: int) -> int:
    """Return the ue(v) behind `skip` others, -1 when it cannot be read."""
    bits = _Bits(_unescape(data))
    try:
        for _ in range(skip):
            bits.golomb()
        return bits.golomb()
    except MediaFormatError:
        return -1


class _Bits:
    """Bits of a raw byte sequence payload, most significant first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next `count` bits as an unsigned number."""
        self._left -= count
        if self._left < 0:
            raise MediaFormatError("a parameter set is cut short")
        return (self._value >> self._left) & ((1 << count) - 1)

    def golomb(self) -> int:
        """Return the next ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _GOLOMB_BITS_MAX:
                raise MediaFormatError("a parameter set holds a number of more than 32 bits")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed_golomb(self) -> int:
        """Return the next se(v)."""
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _unescape(data: bytes) -> bytes:
    return data.replace(b"\x00\x00\x03", b"\x00\x00")


def _read_sample_format(bits: _Bits) -> SampleFormat:
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)  # separate_colour_plane_flag
    luma_depth, chroma_depth = bits.golomb(), bits.golomb()
    if chroma > 3 or luma_depth > 6 or chroma_depth > 6:
        raise MediaFormatError(f"chroma format {chroma}, bit depth {8 + luma_depth} in the SPS")
    return SampleFormat(chroma, luma_depth, chroma_depth)


def _skip_scaling_lists(bits: _Bits, count: int) -> None:
    for index in range(count):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed_golomb()) % 256
            last = following or last


def _skip_picture_order(bits: _Bits) -> None:
    kind = bits.golomb()
    if kind == 0:
        bits.golomb()
    elif kind == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        cycle = bits.golomb()
        if cycle > 255:
            raise MediaFormatError(f"a picture order cycle of {cycle} frames is impossible")
        for _ in range(cycle):
            bits.golomb()


def _require_decodable(width: int, height: int, references: int) -> None:
    """Refuse what would take more memory than a worker has.

    Raises:
        PictureBoundsError: Says what to change.
    """
    if width * height > PIXELS_MAX:
        raise PictureBoundsError(
            f"the picture has {width}x{height} pixels and at most 4096x2304 are taken: choose a "
            "smaller output size"
        )
    if references > _REFERENCES_MAX or references * width * height > REFERENCE_PIXELS_MAX:
        allowed = min(_REFERENCES_MAX, REFERENCE_PIXELS_MAX // (width * height))
        raise PictureBoundsError(
            f"the encoder names {references} reference pictures and at {width}x{height} at most "
            f"{allowed} are taken (H.264 level 5.2): lower its number of reference frames"
        )


def _read_vui(bits: _Bits) -> tuple[tuple[int, int], int, int | None]:
    """Return sample_aspect, frames per 1000 s and max_num_reorder_frames of `SpsFacts`.

    The rate is 0 and the frames are None where the VUI does not say them.
    """
    aspect = _read_sample_aspect(bits) if bits.take(1) else (1, 1)
    # Overscan, video signal and chroma location are passed over.
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.golomb()
        bits.golomb()
    # Timing: a frame lasts two units of num_units_in_tick / time_scale seconds.
    rate = 0
    if bits.take(1):
        units, scale = bits.take(32), bits.take(32)
        bits.take(1)
        if units:
            rate = scale * 1000 // (2 * units)
    # NAL and VCL HRD parameters are passed over, and pic_struct_present_flag.
    has_hrd = False
    for _ in range(2):
        if bits.take(1):
            has_hrd = True
            _skip_hrd(bits)
    if has_hrd:
        bits.take(1)
    bits.take(1)
    # Bitstream restriction: max_num_reorder_frames is its fifth number.
    if not bits.take(1):
        return aspect, rate, None
    bits.take(1)
    for _ in range(4):
        bits.golomb()
    return aspect, rate, bits.golomb()


def _read_sample_aspect(bits: _Bits) -> tuple[int, int]:
    kind = bits.take(8)
    if kind != _EXTENDED_SAR:
        return _SAMPLE_ASPECTS[kind] if kind < len(_SAMPLE_ASPECTS) else (1, 1)
    width, height = bits.take(16), bits.take(16)
    return (width, height) if width and height else (1, 1)


def _skip_hrd(bits: _Bits) -> None:
    count = bits.golomb() + 1
    if count > 32:
        raise MediaFormatError(f"{count} coded picture buffers are impossible")
    bits.take(8)
    for _ in range(count):
        bits.golomb()
        bits.golomb()
        bits.take(1)
    bits.take(20)
