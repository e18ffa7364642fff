"""H.264 bytes: NAL units, parameter sets, what they say about the picture.

Annex B in, length-prefixed samples and formats out (ISO/IEC 14496-10 and 14496-15). Sizes and
profiles are taken from the SPS, never from SDP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.errors import MediaFormatError
from mediaserver.media import VideoFormat

START_CODE: Final = b"\x00\x00\x00\x01"
SLICE: Final = 1
IDR: Final = 5
SPS: Final = 7
PPS: Final = 8
_UNWANTED: Final = frozenset({9, 10, 11, 12})
"""Access unit delimiter, ends of sequence and stream, filler: no use in a sample."""
_HIGH_PROFILES: Final = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_NO_REORDER_PROFILES: Final = frozenset({66})
"""Baseline has no B-frames (H.264, A.2.1)."""
_EXTENDED_SAR: Final = 255
_GOLOMB_BITS_MAX: Final = 32
_SIZE_MAX: Final = 16384
"""H.264 level 6.2 allows 16,864 in one direction; beyond is a damaged SPS."""


@dataclass(frozen=True, slots=True)
class SpsFacts:
    """What a sequence parameter set says.

    Attributes:
        width: Luma pixels after cropping.
        height: Luma pixels after cropping.
        frame_rate_milli: Frames per 1000 s by the VUI's timing; 0 when it does not say.
        reorder_frames: Frames that may follow later in display order, by VUI; None: not said.
        codec: RFC 6381 name.
    """

    width: int
    height: int
    frame_rate_milli: int
    reorder_frames: int | None
    codec: str


def nal_type(nal: bytes) -> int:
    """Return nal_unit_type."""
    return nal[0] & 31


def split_annexb(payload: bytes) -> tuple[bytes, ...]:
    """Return the NAL units of an Annex B byte stream, without start codes; empty ones are left out.

    Bytes before the first start code are dropped.
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


def join_annexb(nals: tuple[bytes, ...]) -> bytes:
    """Return NAL units as one Annex B byte stream with 4-byte start codes."""
    return b"".join([START_CODE + nal for nal in nals])


def avcc(nals: tuple[bytes, ...]) -> bytes:
    """Return NAL units with 4-byte big-endian sizes (ISO/IEC 14496-15, 5.3.2)."""
    return b"".join([len(nal).to_bytes(4, "big") + nal for nal in nals])


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
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    chroma = 1
    if profile in _HIGH_PROFILES:
        chroma = bits.golomb()
        if chroma == 3:
            bits.take(1)
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    bits.golomb()
    _skip_picture_order(bits)
    bits.golomb()
    bits.take(1)
    width = (bits.golomb() + 1) * 16
    map_units = bits.golomb() + 1
    is_frames_only = bits.take(1)
    height = map_units * 16 * (2 - is_frames_only)
    if not is_frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1) * (2 - is_frames_only)
    if not (0 < width <= _SIZE_MAX and 0 < height <= _SIZE_MAX):
        raise MediaFormatError(f"a picture of {width}x{height} pixels is impossible")
    rate, reorder = _read_vui(bits) if bits.take(1) else (0, None)
    if profile in _NO_REORDER_PROFILES:
        reorder = 0
    return SpsFacts(width, height, rate, reorder, f"avc1.{sps[1:4].hex()}")


class SampleMaker:
    """Access units of one track -> samples without parameter sets, and the format they need.

    Parameter sets may come with any access unit, again and again, or late: only their content
    counts. A change takes effect at the next IDR.
    """

    def __init__(self) -> None:
        self._sps: bytes | None = None
        self._pps: bytes | None = None
        self.format: VideoFormat | None = None
        self.facts: SpsFacts | None = None

    def make(self, nals: tuple[bytes, ...]) -> tuple[bytes, bool, bool]:
        """Take one access unit in.

        Returns:
            The sample's bytes (empty: no picture in it), whether it is an IDR, and whether
            `format` became another with it.

        Raises:
            MediaFormatError: The parameter sets of this IDR cannot be used.
        """
        kept: list[bytes] = []
        is_idr = False
        has_picture = False
        sps = pps = None
        for nal in nals:
            kind = nal_type(nal)
            if kind == SPS:
                sps = sps or nal
            elif kind == PPS and pps is None:
                pps = nal
            elif kind not in _UNWANTED:
                # A second PPS (another id) stays in the sample: the format has room for one.
                kept.append(nal)
                is_idr = is_idr or kind == IDR
                has_picture = has_picture or SLICE <= kind <= IDR
        self._sps = sps or self._sps
        self._pps = pps or self._pps
        is_changed = is_idr and self._adopt()
        return (avcc(tuple(kept)) if has_picture else b""), is_idr, is_changed

    def decodable(self, nals: tuple[bytes, ...]) -> bytes:
        """Return an IDR access unit as Annex B that a fresh decoder can begin with."""
        kinds = {nal_type(nal) for nal in nals}
        ahead: tuple[bytes, ...] = ()
        if SPS not in kinds and self._sps:
            ahead += (self._sps,)
        if PPS not in kinds and self._pps:
            ahead += (self._pps,)
        return join_annexb(ahead + nals)

    def _adopt(self) -> bool:
        if self._sps is None or self._pps is None:
            return False
        if self.format and (self.format.sps, self.format.pps) == (self._sps, self._pps):
            return False
        if self.facts is None or self.format is None or self.format.sps != self._sps:
            self.facts = parse_sps(self._sps)
        self.format = VideoFormat(
            self._sps, self._pps, self.facts.width, self.facts.height, self.facts.codec
        )
        return True


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


def _read_vui(bits: _Bits) -> tuple[int, int | None]:
    """Return frames per 1000 s (0: not said) and max_num_reorder_frames (None: not said)."""
    if bits.take(1) and bits.take(8) == _EXTENDED_SAR:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.golomb()
        bits.golomb()
    rate = 0
    if bits.take(1):
        units, scale = bits.take(32), bits.take(32)
        bits.take(1)
        if units:
            rate = scale * 1000 // (2 * units)
    has_hrd = False
    for _ in range(2):
        if bits.take(1):
            has_hrd = True
            _skip_hrd(bits)
    if has_hrd:
        bits.take(1)
    bits.take(1)
    if not bits.take(1):
        return rate, None
    bits.take(1)
    for _ in range(4):
        bits.golomb()
    return rate, bits.golomb()


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
