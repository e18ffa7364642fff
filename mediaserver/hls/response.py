"""A response that writes itself: a prebuilt head and the body in one write.

It goes past aiohttp's header machinery, which halves the cost of a playlist. It uses public names
of aiohttp only; `on_response_prepare` signals and cookies do not happen. What to answer is decided
by `serve`, and how it reads by `responses`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email.utils import formatdate
from typing import Final

from aiohttp import web

from mediaserver.clock import Clock
from mediaserver.hls.http_semantics import Chunk
from mediaserver.http.connections import OwnHead

SEND_TIMEOUT_S: Final = 30
"""Who takes longer for one object of a few seconds cannot play it anyway."""
JOIN_BYTES_MAX: Final = 16 << 10
"""Up to here one copy is cheaper than a gathered write of three pieces."""


class Response(OwnHead):
    """A whole response: head, then chunks, none of them copied when they are large.

    Args:
        head: Status line and headers without Date, each line ended.
        chunks: The body as it is sent: empty for HEAD and 304.
        send_timeout_s: How long a reader may take.
    """

    def __init__(
        self,
        status: int,
        head: bytes,
        chunks: Sequence[Chunk],
        dates: Dates,
        send_timeout_s: float = SEND_TIMEOUT_S,
    ) -> None:
        super().__init__(status=status)
        self._head = head
        self._chunks = chunks
        self._dates = dates
        self._send_timeout_s = send_timeout_s
        self._request: web.BaseRequest | None = None
        self._is_kept = False
        self.size_bytes = sum(map(len, chunks))

    @property
    def keep_alive(self) -> bool | None:
        """True when the connection serves another request."""
        return self._is_kept

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write everything.

        Raises:
            ConnectionResetError: The client is gone; nothing was sent.
        """
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client left")
        self._request = request
        # Who still sends a body that nobody reads is not asked again.
        self._is_kept = request.keep_alive and request.content.is_eof()
        end = self._dates.end(is_kept=self._is_kept, is_old=request.version < (1, 1))
        if self.size_bytes <= JOIN_BYTES_MAX:
            transport.write(b"".join((self._head, end, *self._chunks)))
        else:
            transport.writelines((self._head, end, *self._chunks))

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp's signature
        """Wait until a slow reader has taken enough; give up on one that does not.

        Raises:
            ConnectionResetError: The client left or took too long.
        """
        request, self._request = self._request, None
        if request is None or not request.protocol.writing_paused:
            return
        transport = request.transport
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await request.writer.drain()
        except TimeoutError as error:
            if transport is not None:
                transport.abort()
            raise ConnectionResetError("the client reads too slowly") from error


class Dates:
    """The last lines of a head, made once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s = float("-inf")
        self._ends: dict[tuple[bool, bool], bytes] = {}

    def end(self, *, is_kept: bool, is_old: bool) -> bytes:
        """Return Date, Connection where the version needs it, and the blank line."""
        now_s = self._clock.monotonic()
        if now_s >= self._until_s:
            second, ms = divmod(self._clock.now_ms(), 1000)
            self._until_s = now_s + 1 - ms / 1000
            date = f"Date: {formatdate(second, usegmt=True)}\r\n".encode()
            self._ends = {
                (True, False): date + b"\r\n",
                (False, False): date + b"Connection: close\r\n\r\n",
                (True, True): date + b"Connection: keep-alive\r\n\r\n",
                (False, True): date + b"\r\n",
            }
        return self._ends[is_kept, is_old]
