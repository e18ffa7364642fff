"""RTP payloads of H.264 to access units (RFC 6184, packetization modes 0 and 1).

A frame is what shares one RTP timestamp; never what NAL unit types suggest (parameter sets come
alone, late or repeated, and a picture may have many slices). The marker bit ends it sooner, once a
whole picture has shown that the sender sets it on the last packet only: some set it on the last one
of each slice, or on all. Two pictures of one timestamp are parted where a marker and a slice with
first_mb_in_slice 0 agree. After a loss
nothing leaves before the next IDR: a decoder, and a player that is handed our bytes untouched,
cannot use what refers to a missing picture. An IDR leaves with every parameter set that is known,
from the offer or from any packet before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from mediaserver.h264 import (
    IDR,
    PPS,
    SLICE,
    SPS,
    START_CODE,
    NalUnits,
    begins_picture,
    split_annex_b,
)
from mediaserver.parameter_sets import ParameterSets

FRAME_BYTES_MAX: Final = 16 << 20
"""A lossless 4K picture; anything larger is an attack or an endless fragment."""
_HELD_BYTES_MAX: Final = 65_536
"""Parameter sets and SEI that wait for their picture; real ones are some hundred bytes."""
_SLICE_TYPES: Final = range(SLICE, IDR + 1)
_INNER_START_CODE: Final = b"\0\0\1"
_STAP_A: Final = 24
_FU_A: Final = 28
_RESERVED: Final = (30, 31)


@dataclass(frozen=True, slots=True)
class Frame:
    """One access unit.

    Attributes:
        nals: Its NAL units in order, without start codes.
        timestamp: Its 32-bit RTP timestamp.
        is_idr: It holds the first slice of an IDR picture.
        arrived_s: When its first packet came.
        follows_loss: What came before was lost and given up.
    """

    nals: tuple[bytes, ...]
    timestamp: int
    is_idr: bool
    arrived_s: float
    follows_loss: bool


class H264Depacketizer:
    """Joins packets, in sequence order, into frames.

    Attributes:
        waits_for_idr: True until the first IDR, and again after each loss.
        wants_idr: True when one has to be asked for: media was lost, or began without one.
        broken: Packets whose payload broke RFC 6184.
        dropped: Frames that were not decodable and therefore did not leave.
        sets: The parameter sets that are known.
    """

    def __init__(self, offered_sets: NalUnits = ()) -> None:
        """Begin a track; `offered_sets` are the parameter sets that its offer names."""
        self.sets = ParameterSets()
        self.sets.take(offered_sets)
        self.waits_for_idr = True
        self.wants_idr = False
        self.broken = 0
        self.dropped = 0
        self._nals: list[bytes] = []
        self._fragments: list[bytes] = []  # of the NAL unit under way
        self._size = 0
        self._timestamp: int | None = None
        self._arrived_s = 0.0
        self._has_slice = False
        self._is_idr = False
        self._in_fragment = False
        self._is_marked = False  # the newest packet of the frame under way had the marker
        self._is_marker_end: bool | None = None  # None: not known yet
        self._ended: int | None = None  # timestamp of the frame that a marker has just ended
        self._held: deque[bytes] = deque()  # parameter sets that came as a frame of their own
        self._has_lost = False

    def lose(self) -> None:
        """Note that packets before the next one are lost for good."""
        if self._nals or self._fragments:
            self.dropped += 1
        self._clear()
        self._ended = None
        self._held.clear()
        self.waits_for_idr = self.wants_idr = True
        self._has_lost = True

    def push(
        self, payload: bytes, timestamp: int, is_marker: bool, arrived_s: float
    ) -> list[Frame]:
        """Return the frames that end with this packet: at most one before it, and its own.

        `timestamp` is the 32-bit RTP one, `is_marker` hints at the last packet of a frame,
        `arrived_s` is monotonic. Padding alone (empty payloads, or nothing but zeros) changes
        nothing.
        """
        frames: list[Frame] = []
        if payload[:1] in {b"", b"\0"} and not payload.strip(b"\0"):
            return frames
        if timestamp == self._ended and _continues_picture(payload):
            # A marker ended this picture too soon, so half of it has left.
            self._is_marker_end = False
            self.broken += 1
            self.lose()
        self._ended = None
        if self._timestamp is not None and (
            timestamp != self._timestamp or self._is_next_picture(payload)
        ):
            if self._is_marked and self._is_marker_end is None:
                self._is_marker_end = True
            self._end(self._timestamp, frames)
        if self._timestamp is None:
            self._timestamp, self._arrived_s = timestamp, arrived_s
        self._is_marked = is_marker
        broken = self.broken
        if not self._take(payload) or self._size > FRAME_BYTES_MAX:
            self.broken = broken + 1
            self.lose()
            return frames
        if is_marker and self._in_fragment:
            self._is_marker_end = False
        elif is_marker and self._is_marker_end:
            self._end(timestamp, frames)
            self._ended = timestamp
        return frames

    def _is_next_picture(self, payload: bytes) -> bool:
        """Return whether marker and first_mb_in_slice agree that another picture begins here.

        `payload` has the timestamp of the frame under way.
        """
        if not (self._is_marked and self._has_slice):
            return False
        start = _slice_start(payload)
        if not start:
            return False
        if begins_picture(start):
            return True
        self._is_marker_end = False
        return False

    def _take(self, payload: bytes) -> bool:
        kind = payload[0] & 31
        if kind == _FU_A:
            return self._take_fragment(payload)
        if self._in_fragment:
            return False  # a fragment must be whole before anything else comes
        if 1 <= kind < _STAP_A or _begins_byte_stream(payload):
            self._size += len(payload)
            self._add(payload)
            return True
        if kind == _STAP_A:
            return self._take_aggregate(payload)
        if kind in _RESERVED:  # of no meaning (RFC 6184, 5.2), so no part of the picture
            self.broken += 1
            return True
        return False  # STAP-B, MTAP and FU-B need mode 2, which we never answer

    def _take_aggregate(self, payload: bytes) -> bool:
        """Take the whole units of a STAP-A; False when a part of a picture is lost with the rest.

        Some senders pad it with zeros, which count as nothing.
        """
        position, end, units = 1, len(payload), 0
        while position + 2 < end:
            size = int.from_bytes(payload[position : position + 2], "big")
            if position + 2 + size > end:
                break
            position += 2
            if size:
                self._size += size
                self._add(payload[position : position + size])
                units += 1
                position += size
        rest = payload[position:]
        if units and rest.strip(b"\0"):
            self.broken += 1
            return not (len(rest) > 2 and rest[2] & 31 in _SLICE_TYPES)
        return units > 0

    def _take_fragment(self, payload: bytes) -> bool:
        # Behind the first one an empty fragment is odd, and nothing is missing with it.
        if len(payload) < (2 if self._in_fragment else 3):
            return False
        indicator, header = payload[0], payload[1]
        if header & 0x80:  # first fragment: its NAL header is put together again
            if self._in_fragment:
                return False
            self._in_fragment = True
            self._fragments.append(bytes((indicator & 0xE0 | header & 31,)))
        elif not self._in_fragment:
            return False
        self._fragments.append(payload[2:])
        self._size += len(payload) - 2
        if header & 0x40:
            self._in_fragment = False
            self._add(b"".join(self._fragments))
            self._fragments = []
        return True

    def _add(self, unit: bytes) -> None:
        if _INNER_START_CODE in unit:
            # H.264, 7.4.1 forbids it, but some senders packetize a byte stream, or look for 4-byte
            # start codes only and leave what libx264 puts behind 3-byte ones in one NAL unit.
            nals = split_annex_b(START_CODE + unit)
        else:
            # Zeros at the end are the byte stream's, not the NAL unit's (H.264, B.1.1).
            unit = unit.rstrip(b"\0")
            nals = (unit,) if unit else ()
        for nal in nals:
            self._note(nal)
        self._nals += nals

    def _note(self, nal: bytes) -> None:
        kind = nal[0] & 31
        # Later slices of an IDR whose first one was lost are no place to start.
        if kind == IDR and begins_picture(nal):
            self._is_idr = True
        if kind in _SLICE_TYPES:
            self._has_slice = True
        elif kind in (SPS, PPS):
            self.sets.take((nal,))

    def _end(self, timestamp: int, frames: list[Frame]) -> None:
        arrived_s = self._arrived_s
        if self._in_fragment:  # the frame ended inside a NAL unit though no packet was missing
            self.broken += 1
            self.lose()
            return
        nals, has_slice, is_idr = self._nals, self._has_slice, self._is_idr
        self._clear()
        if not has_slice:
            # Parameter sets, SEI or a delimiter alone: they belong to the picture that follows.
            self._held += nals
            held_bytes = sum(map(len, self._held))
            while held_bytes > _HELD_BYTES_MAX:
                held_bytes -= len(self._held.popleft())
            return
        if self._held:
            nals = [*self._held, *nals]
            self._held.clear()
        if self.waits_for_idr and not is_idr:
            self.dropped += 1
            self.wants_idr = True
            return
        self.waits_for_idr = self.wants_idr = False
        if is_idr:
            nals = [*self.sets.missing(tuple(nals)), *nals]
        frames.append(Frame(tuple(nals), timestamp, is_idr, arrived_s, self._has_lost))
        self._has_lost = False

    def _clear(self) -> None:
        self._nals = []
        self._fragments = []
        self._size = 0
        self._timestamp = None
        self._has_slice = self._is_idr = self._in_fragment = self._is_marked = False


def _begins_byte_stream(payload: bytes) -> bool:
    """Return whether a start code comes first, behind any number of zeros (H.264, B.1.1)."""
    return payload.startswith(b"\0\0") and payload.lstrip(b"\0").startswith(b"\1")


def _slice_start(payload: bytes) -> bytes:
    """Return the first two bytes of a packet's first slice; empty: none begins in it."""
    kind = payload[0] & 31
    if kind == _FU_A and len(payload) > 2 and payload[1] & 0x80:
        payload = bytes((payload[1] & 31, payload[2]))
    elif kind == _STAP_A:
        start = 3
        while start < len(payload) and payload[start] & 31 not in _SLICE_TYPES:
            start += 2 + int.from_bytes(payload[start - 2 : start], "big")
        payload = payload[start:]
    return payload[:2] if payload and payload[0] & 31 in _SLICE_TYPES else b""


def _continues_picture(payload: bytes) -> bool:
    start = _slice_start(payload)
    return bool(start) and not begins_picture(start)
