"""RTP payloads of H.264 to access units (RFC 6184, packetization modes 0 and 1).

A frame is what shares one RTP timestamp, up to the marker bit; never what NAL unit types suggest
(parameter sets come alone, late or repeated, and a picture may have many slices). After a loss
nothing leaves before the next IDR: a decoder, and a player that is handed our bytes untouched,
cannot use what refers to a missing picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

START_CODE: Final = b"\0\0\0\1"
FRAME_BYTES_MAX: Final = 16 << 20
"""A lossless 4K picture; anything larger is an attack or an endless fragment."""
_SLICE_TYPES: Final = range(1, 6)
_IDR: Final = 5
_STAP_A: Final = 24
_FU_A: Final = 28


@dataclass(frozen=True, slots=True)
class Frame:
    """One access unit in Annex B form.

    Attributes:
        payload: NAL units, each behind a 4-byte start code.
        timestamp: Its 32-bit RTP timestamp.
        is_idr: It holds the first slice of an IDR picture.
        arrived_s: When its first packet came.
        follows_loss: What came before was lost and given up.
    """

    payload: bytes
    timestamp: int
    is_idr: bool
    arrived_s: float
    follows_loss: bool


class H264Assembler:
    """Joins packets, in sequence order, into frames.

    Attributes:
        waits_for_idr: True until the first IDR, and again after each loss.
        wants_idr: True when one has to be asked for: media was lost, or began without one.
        broken: Packets whose payload broke RFC 6184.
        dropped: Frames that were not decodable and therefore did not leave.
    """

    def __init__(self) -> None:
        self.waits_for_idr = True
        self.wants_idr = False
        self.broken = 0
        self.dropped = 0
        self._pieces: list[bytes] = []
        self._size = 0
        self._timestamp: int | None = None
        self._arrived_s = 0.0
        self._has_slice = False
        self._is_idr = False
        self._in_fragment = False
        self._held = b""  # parameter sets that came as a frame of their own
        self._has_lost = False

    def lose(self) -> None:
        """Say that packets before the next one are gone for good."""
        if self._pieces:
            self.dropped += 1
        self._clear()
        self._held = b""
        self.waits_for_idr = self.wants_idr = True
        self._has_lost = True

    def push(
        self, payload: bytes, timestamp: int, is_marker: bool, arrived_s: float
    ) -> list[Frame]:
        """Return the frames that end with this packet: at most one that lacked its marker, and one.

        Args:
            payload: RTP payload; empty ones (padding probes) change nothing.
            timestamp: 32-bit RTP timestamp.
            is_marker: The RTP marker bit: last packet of the frame.
            arrived_s: Monotonic seconds when the packet came.
        """
        frames: list[Frame] = []
        if not payload:
            return frames
        if self._timestamp is not None and timestamp != self._timestamp:
            self._end(self._timestamp, frames)
        if self._timestamp is None:
            self._timestamp, self._arrived_s = timestamp, arrived_s
        if not self._take(payload) or self._size > FRAME_BYTES_MAX:
            self.broken += 1
            self.lose()
            return frames
        if is_marker:
            self._end(timestamp, frames)
        return frames

    def _take(self, payload: bytes) -> bool:
        kind = payload[0] & 31
        if kind == _FU_A:
            return self._take_fragment(payload)
        if self._in_fragment:
            return False  # a fragment must be whole before anything else comes
        if 1 <= kind < _STAP_A:
            return self._take_unit(payload)
        if kind == _STAP_A:
            return self._take_aggregate(payload)
        return False  # STAP-B, MTAP and FU-B need mode 2, which we never answer

    def _take_unit(self, unit: bytes) -> bool:
        self._note(unit[0] & 31, unit[1:2])
        self._pieces += (START_CODE, unit)
        self._size += len(unit) + 4
        return True

    def _take_aggregate(self, payload: bytes) -> bool:
        position, end = 1, len(payload)
        while position + 2 < end:
            size = int.from_bytes(payload[position : position + 2], "big")
            position += 2
            if size == 0 or position + size > end:
                return False
            self._take_unit(payload[position : position + size])
            position += size
        return position == end and end > 1

    def _take_fragment(self, payload: bytes) -> bool:
        if len(payload) < 3:
            return False
        indicator, header = payload[0], payload[1]
        if header & 0x80:  # first fragment: its NAL header is put together again
            if self._in_fragment:
                return False
            self._in_fragment = True
            self._note(header & 31, payload[2:3])
            self._pieces += (START_CODE, bytes((indicator & 0xE0 | header & 31,)))
            self._size += 5
        elif not self._in_fragment:
            return False
        if header & 0x40:
            self._in_fragment = False
        self._pieces.append(payload[2:])
        self._size += len(payload) - 2
        return True

    def _note(self, kind: int, slice_start: bytes) -> None:
        # first_mb_in_slice is 0 when the slice header begins with bit 1 (H.264, 7.3.3 and 9.1).
        # Later slices of an IDR whose first one was lost are no place to start.
        if kind == _IDR and slice_start >= b"\x80":
            self._is_idr = True
        if kind in _SLICE_TYPES:
            self._has_slice = True

    def _end(self, timestamp: int, frames: list[Frame]) -> None:
        arrived_s = self._arrived_s
        if self._in_fragment:  # the frame ended inside a NAL unit though no packet was missing
            self.broken += 1
            self.lose()
            return
        data = b"".join(self._pieces)
        has_slice, is_idr = self._has_slice, self._is_idr
        self._clear()
        if not has_slice:
            # Parameter sets, SEI or a delimiter alone: they belong to the picture that follows.
            self._held = (self._held + data)[-65536:] if len(data) <= 65536 else b""
            return
        data, self._held = self._held + data, b""
        if self.waits_for_idr and not is_idr:
            self.dropped += 1
            self.wants_idr = True
            return
        self.waits_for_idr = self.wants_idr = False
        frames.append(Frame(data, timestamp, is_idr, arrived_s, self._has_lost))
        self._has_lost = False

    def _clear(self) -> None:
        self._pieces = []
        self._size = 0
        self._timestamp = None
        self._has_slice = self._is_idr = self._in_fragment = False
