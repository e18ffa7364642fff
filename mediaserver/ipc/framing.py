"""Frames of the wire between our own processes: one format for every unix socket of `run/`.

A frame is

    u32 length of what follows | u8 version | u32 length of the header | header | payload

big-endian. The header is JSON (`messages`); the payload is bytes that must not be escaped or copied
into it: a part or an init, empty for every other message. Every frame carries the version, so the
first frame of either side shows a peer of another release.

`FrameReader` refuses what breaks a bound, so a faulty peer costs its own connection and no more
memory than one frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from mediaserver.errors import LinkError

VERSION: Final = 3
"""Raised when any message or operation changes shape: all processes are of one release. It is
neither 1 nor 123: a frame of the protocols before this one has a message kind or a brace there."""
FRAME_BYTES_MAX: Final = 32 << 20
"""Four seconds at 60 Mbit/s: no sane part or init is larger. A batch of 100,000 entries, the most
that the configuration allows, is 9 MB in base64."""
HEADER_BYTES_MAX: Final = 12 << 20
"""A policy of 10,000 streams fits, and no larger one is made (api/streams/streams.py)."""
_HEAD: Final = struct.Struct("!IBI")
_AFTER_LENGTH_BYTES: Final = _HEAD.size - 4


class Frame(NamedTuple):
    """One frame, taken apart."""

    header: bytes
    payload: bytes


def pack(header: bytes, payload: bytes = b"") -> tuple[bytes, ...]:
    """Return the buffers of one frame, in order; `payload` is the caller's object, not a copy."""
    length = _AFTER_LENGTH_BYTES + len(header) + len(payload)
    start = _HEAD.pack(length, VERSION, len(header)) + header
    return (start, payload) if payload else (start,)


class FrameReader:
    """Bytes in, frames out; holds at most one frame beside what was fed last."""

    def __init__(self, header_bytes_max: int = HEADER_BYTES_MAX) -> None:
        self._header_bytes_max = header_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield each frame that is complete.

        Raises:
            LinkError: The peer breaks the protocol; drop the connection.
        """
        self._buffer += data
        while len(self._buffer) >= _HEAD.size:
            length, version, header_length = _HEAD.unpack_from(self._buffer)
            if version != VERSION:
                raise LinkError(f"the peer speaks version {version} of the wire, not {VERSION}")
            header_max = min(self._header_bytes_max, length - _AFTER_LENGTH_BYTES)
            if length > FRAME_BYTES_MAX or header_length > header_max:
                raise LinkError(f"a frame of {length} bytes, header {header_length}, is too large")
            end = 4 + length
            if len(self._buffer) < end:
                return
            with memoryview(self._buffer) as view:
                payload_start = _HEAD.size + header_length
                header = bytes(view[_HEAD.size : payload_start])
                payload = bytes(view[payload_start:end])
            del self._buffer[:end]
            yield Frame(header, payload)
