"""Bytes of RTP and RTCP: packet headers, reports and feedback, read and written (RFC 3550, 4585).

Reading never raises: a packet that breaks its own lengths is `None`, or ends the compound.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

_RTP: Final = struct.Struct("!BBHLL")
_RTCP: Final = struct.Struct("!BBH")
_SENDER_REPORT: Final = 200
_RECEIVER_REPORT: Final = 201
_SOURCE_DESCRIPTION: Final = 202
_GOODBYE: Final = 203
_TRANSPORT_FEEDBACK: Final = 205
_PAYLOAD_FEEDBACK: Final = 206
_NTP_FRACTIONS: Final = 1 << 32


@dataclass(slots=True)
class RtpPacket:
    """One RTP packet without its padding and header extensions."""

    payload_type: int
    is_marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class ReportOfSender:
    """The sender's part of an SR: `ntp` is 32.32 fixed point, `timestamp` 32 bits of RTP time."""

    ssrc: int
    ntp: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """An RTCP BYE: these sources will send no more."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver report says to a sender of one of its sources (RFC 3550, 6.4.1)."""

    ssrc: int
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay_since: int


class Unwrapper:
    """Makes a counter of `bits` bits that wraps into one that does not."""

    __slots__ = ("_last", "_span")

    def __init__(self, bits: int) -> None:
        self._span = 1 << bits
        self._last: int | None = None

    @property
    def has_begun(self) -> bool:
        """True when a first value was seen."""
        return self._last is not None

    def near(self, value: int) -> int:
        """Return `value` unwrapped, as the nearest to the highest seen; remembers nothing."""
        if self._last is None:
            return value
        span = self._span
        step = (value - self._last) % span
        return self._last + (step - span if step >= span >> 1 else step)

    def advance(self, value: int) -> int:
        """Return `value` unwrapped, and remember it when it is the highest."""
        unwrapped = self.near(value)
        if self._last is None or unwrapped > self._last:
            self._last = unwrapped
        return unwrapped


def is_rtcp(datagram: bytes) -> bool:
    """Return whether a media datagram is RTCP (RFC 5761, 4: packet types 192 to 223)."""
    return len(datagram) > 1 and 192 <= datagram[1] <= 223


def parse_rtp(data: bytes) -> RtpPacket | None:
    """Return the packet in `data`, or None when its lengths do not add up."""
    end = len(data)
    if end < 12:
        return None
    flags, kind, sequence, timestamp, ssrc = _RTP.unpack_from(data)
    if flags >> 6 != 2:
        return None
    start = 12 + 4 * (flags & 15)
    if flags & 0x10:
        # RFC 3550, 5.3.1: profile, then the length in 32-bit words. One-byte and two-byte forms
        # (RFC 8285) have the same frame, so both are stepped over here.
        if start + 4 > end:
            return None
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    if flags & 0x20:
        padding = data[-1]
        if padding == 0:
            return None
        end -= padding
    if start > end:
        return None
    return RtpPacket(kind & 127, kind > 127, sequence, timestamp, ssrc, data[start:end])


def parse_rtcp(data: bytes) -> tuple[ReportOfSender | Goodbye, ...]:
    """Return the sender reports and goodbyes of a compound, up to the first broken packet."""
    reports: list[ReportOfSender | Goodbye] = []
    position = 0
    while position + 4 <= len(data):
        flags, kind, words = _RTCP.unpack_from(data, position)
        end = position + 4 + 4 * words
        if flags >> 6 != 2 or end > len(data):
            break
        if kind == _SENDER_REPORT and words >= 6:
            ssrc, ntp, timestamp = struct.unpack_from("!LQL", data, position + 4)
            reports.append(ReportOfSender(ssrc, ntp, timestamp))
        elif kind == _GOODBYE and words >= flags & 31:
            count = flags & 31
            reports.append(Goodbye(struct.unpack_from(f"!{count}L", data, position + 4)))
        position = end
    return tuple(reports)


def ntp_seconds(ntp: int) -> float:
    """Return a 32.32 fixed-point time as seconds."""
    return ntp / _NTP_FRACTIONS


def receiver_report(ssrc: int, blocks: Iterable[ReportBlock], cname: str) -> bytes:
    """Return RR and SDES, the compound that RFC 3550, 6.1 asks of a receiver."""
    body = [struct.pack("!L", ssrc)]
    for block in blocks:
        lost = max(-(1 << 23), min(block.packets_lost, (1 << 23) - 1)) & 0xFFFFFF
        body.append(
            struct.pack(
                "!LLLLLL",
                block.ssrc,
                block.fraction_lost << 24 | lost,
                block.highest_sequence & 0xFFFFFFFF,
                min(block.jitter, 0xFFFFFFFF),
                block.last_report,
                block.delay_since,
            )
        )
    report = _packet(len(body) - 1, _RECEIVER_REPORT, b"".join(body))
    name = cname.encode()[:255]
    # SDES: chunk of ssrc, item 1 (CNAME), end item, padded to a word.
    chunk = struct.pack("!LBB", ssrc, 1, len(name)) + name + b"\0"
    chunk += b"\0" * (-len(chunk) % 4)
    return report + _packet(1, _SOURCE_DESCRIPTION, chunk)


def nack(ssrc: int, media_ssrc: int, sequences: Iterable[int]) -> bytes:
    """Return a generic NACK (RFC 4585, 6.2.1) for 16-bit sequence numbers, oldest first."""
    entries: list[list[int]] = []
    for sequence in sequences:
        if entries and 1 <= (distance := (sequence - entries[-1][0]) & 0xFFFF) <= 16:
            entries[-1][1] |= 1 << (distance - 1)
        else:
            entries.append([sequence & 0xFFFF, 0])
    body = b"".join(struct.pack("!HH", first, mask) for first, mask in entries)
    return _packet(1, _TRANSPORT_FEEDBACK, struct.pack("!LL", ssrc, media_ssrc) + body)


def picture_loss(ssrc: int, media_ssrc: int) -> bytes:
    """Return a PLI (RFC 4585, 6.3.1): send a keyframe."""
    return _packet(1, _PAYLOAD_FEEDBACK, struct.pack("!LL", ssrc, media_ssrc))


def bandwidth_limit(ssrc: int, media_ssrcs: tuple[int, ...], bits_per_s: int) -> bytes:
    """Return a REMB (draft-alvestrand-rmcat-remb-03): an 18-bit mantissa and an exponent."""
    exponent = max(0, bits_per_s.bit_length() - 18)
    rate = exponent << 18 | bits_per_s >> exponent
    body = struct.pack("!LL4sL", ssrc, 0, b"REMB", len(media_ssrcs) << 24 | rate)
    return _packet(15, _PAYLOAD_FEEDBACK, body + struct.pack(f"!{len(media_ssrcs)}L", *media_ssrcs))


def goodbye(ssrc: int) -> bytes:
    """Return a BYE for `ssrc`, behind the empty RR that a compound begins with."""
    source = struct.pack("!L", ssrc)
    return _packet(0, _RECEIVER_REPORT, source) + _packet(1, _GOODBYE, source)


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return _RTCP.pack(0x80 | count, kind, len(body) // 4) + body
