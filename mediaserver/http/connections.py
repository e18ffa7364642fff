"""Connections of strangers, bounded: in all, by address, and while nothing has been asked on them.

A stranger's connection costs a descriptor and some kilobytes for as long as it likes, unless
something ends it. What a bound turns away is counted and logged at a limited rate.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.streams import EMPTY_PAYLOAD

from mediaserver import log
from mediaserver.http.client_address import Networks, bound_key, parse
from mediaserver.http.problem_response import problem_response
from metering.log_throttle import LogThrottle

FIRST_REQUEST_S: Final = 10.0
"""From the connection to its first whole request head: browsers connect ahead, and ask soon."""
ASKING_S: Final = 0.5
"""How old a connection is at most whose first request is awaited at a stop: it is on its way."""
SILENT_PER_ADDRESS_MAX: Final = 32
"""Connections of one address on which nothing has been asked yet; the oldest makes room."""
READ_BYTES: Final = 16 << 10
"""What the library reads ahead of a body, twice at most; and a 16th of it in chunks."""
LEFT_S: Final = 1.0
"""How long a sender whose body was not wanted may go on, so that it can read the answer (RFC 9112,
9.6). What it sends is thrown away unread."""
KEEPALIVE_S: Final = 75.0
"""Longer than a player's longest pause between two fetches of a live stream."""
_HEADERS: Final = (
    ("Server", "vilokanam"),  # the library's own tells versions
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),  # addresses hold tokens
)
"""On every answer that does not write its own head."""
_REFUSED: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nServer: vilokanam\r\nContent-Type: text/plain\r\n"
    b"Cache-Control: no-store\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
)
_TEXTS: Final = {
    "connections_total": b"Too many connections to this server; try again in a moment.\n",
    "connections_address": b"Too many connections from your address; close some of them.\n",
}

_NOT_HTTP: Final = "this is no HTTP/1.1 request, or a line of its head is over 8190 bytes"

_log = log.get("http")
_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be.

    Attributes:
        total_max: In all.
        address_max: Of one address; of IPv6, of one network of 64 bits.
        exempt: The operator's proxies: what they hold is many people's.
    """

    total_max: int
    address_max: int
    exempt: Networks


class Connections(web.Server):
    """A server whose connections are counted.

    Attributes:
        dropped: What the bounds turned away, by which.
        idle: Who waits for the next request and is counted by address, the longest first. Each
            connection enters and leaves by itself: this is done for every part.
    """

    def __init__(self, handler: _Handler, bounds: Bounds) -> None:
        options: dict[str, Any] = {
            "access_log": None,
            # No body is unpacked: one that is not the gzip it says would be a traceback each.
            "auto_decompress": False,
            "read_bufsize": READ_BYTES,
            # Not by reading on: a body in chunks of a byte would be parsed for nothing.
            "lingering_time": 0.0,
            "keepalive_timeout": KEEPALIVE_S,
        }
        super().__init__(handler, **options)
        self._options = options
        self.dropped: Counter[str] = Counter()
        self._bounds = bounds
        self._held: dict[Connection, None] = {}
        self._silent: dict[Connection, None] = {}
        self.idle: dict[Connection, None] = {}
        self._of_address: Counter[str] = Counter()
        self._silent_of_address: Counter[str] = Counter()
        self._throttles: dict[str, LogThrottle] = {}

    def __call__(self) -> Connection:
        """Return the protocol of a new connection."""
        return Connection(self, asyncio.get_running_loop(), self._options)

    @property
    def count(self) -> int:
        """Return how many connections there are."""
        return len(self._held)

    def take(self, connection: Connection) -> str:
        """Count a new connection; return the bound that refuses it, or nothing."""
        bounds, key = self._bounds, connection.key
        refusal = ""
        if key and self._of_address[key] >= bounds.address_max:
            refusal = "connections_address"
        elif len(self._held) >= bounds.total_max and not self._make_room():
            refusal = "connections_total"
        elif key and self._silent_of_address[key] >= SILENT_PER_ADDRESS_MAX:
            self._drop_silent(key)
        if refusal:
            self._count(refusal, key)
            return refusal
        self._held[connection] = None
        self._silent[connection] = None
        if key:
            self._of_address[key] += 1
            self._silent_of_address[key] += 1
        return ""

    def heard(self, connection: Connection) -> None:
        """Note that a connection has asked something."""
        if connection in self._silent:
            del self._silent[connection]
            self._less(self._silent_of_address, connection.key)

    def release(self, connection: Connection) -> None:
        """Count a connection no longer by its address: it is a proxy of ours."""
        self.heard(connection)
        if connection in self._held:
            self._less(self._of_address, connection.key)
        self.idle.pop(connection, None)
        connection.key = ""

    def forget(self, connection: Connection) -> None:
        """Note that a connection ended."""
        self.release(connection)
        self._held.pop(connection, None)

    def late(self, connection: Connection) -> None:
        """Note that a connection was closed as nothing was asked on it."""
        self._count("connections_silent", connection.key)

    def is_exempt(self, address: str) -> bool:
        """Return whether an address is not bounded by itself."""
        return self._bounds.exempt.hold(parse(address))

    def _make_room(self) -> bool:
        """Close who has been silent for longest, else who has been idle for longest.

        A player whose connection is closed between two fetches opens another. Without this a few
        thousand networks, which one customer of IPv6 may have, would keep all others out.
        """
        if self._drop_silent(""):
            return True
        oldest = next(iter(self.idle), None)
        if oldest is None:
            return False
        self._count("connections_idle", oldest.key)
        self._end(oldest)
        return True

    def _drop_silent(self, key: str) -> bool:
        """Close the connection that has been silent for longest; of one address where named."""
        oldest = next((each for each in self._silent if not key or each.key == key), None)
        if oldest is None:
            return False
        self.late(oldest)
        self._end(oldest)
        return True

    def _end(self, connection: Connection) -> None:
        self.forget(connection)
        connection.drop()

    def _count(self, what: str, key: str) -> None:
        self.dropped[what] += 1
        # One for each bound: two in turn would be a line each.
        throttle = self._throttles.setdefault(what, LogThrottle())
        if times := throttle.failed(what):
            _log.warning(
                "http.connections.dropped",
                reason=what,
                address=key or None,
                times=times,
                connections=len(self._held),
            )

    @staticmethod
    def _less(counts: Counter[str], key: str) -> None:
        if not key:
            return
        counts[key] -= 1
        if counts[key] <= 0:
            del counts[key]


class OwnHead(web.StreamResponse):
    """A response that writes its own head whole: nothing is added to it."""

    has_own_head: Final = True
    """Asked of each response; `isinstance` of an abstract class costs four times as much."""


class Connection(web.RequestHandler):
    """One connection.

    Attributes:
        key: What its address is counted by; empty while it is not counted by address.
    """

    __slots__ = (
        "_asked",
        "_is_ending",
        "_is_refused",
        "_left",
        "_made_s",
        "_server",
        "_timer",
        "is_heard",
        "key",
    )

    def __init__(
        self, server: Connections, loop: asyncio.AbstractEventLoop, options: dict[str, Any]
    ) -> None:
        super().__init__(server, loop=loop, **options)
        self._server = server
        self._timer: asyncio.TimerHandle | None = None
        self._left: _Left | None = None
        self._is_refused = False
        self._made_s = loop.time()
        self._asked = asyncio.Event()
        self._is_ending = False
        self.key = ""
        self.is_heard = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take or refuse a new connection."""
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else ""
        if address and not self._server.is_exempt(address):
            self.key = bound_key(address)
        if refusal := self._server.take(self):
            self._is_refused = True
            self.force_close()  # what it sends is not read
            text = _TEXTS[refusal]
            # uvloop's transports are of no class of asyncio's.
            stream = cast(asyncio.Transport, transport)
            stream.write(_REFUSED % len(text) + text)
            stream.close()
            return
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(FIRST_REQUEST_S, self._end_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Clean up."""
        self._stop_timer()
        self._asked.set()
        if self._is_refused:
            return
        self._server.forget(self)
        super().connection_lost(exc)

    def hear(self) -> bool:
        """Note a whole request head; return whether it is the first."""
        if self.is_heard:
            self._server.idle.pop(self, None)
            return False
        self.is_heard = True
        self._asked.set()
        self._stop_timer()
        self._server.heard(self)
        return True

    def release(self) -> None:
        """Count this connection by its address no longer: it is a proxy of ours."""
        self._server.release(self)

    def drop(self) -> None:
        """Close at once."""
        self._stop_timer()
        self.force_close()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; a body that was not read then is not read any more."""
        is_own = getattr(resp, "has_own_head", False)
        if is_own and request.content is EMPTY_PAYLOAD and not self._is_ending:
            # All media and playlists: nothing of the rest has to be asked.
            sent = await super().finish_response(request, resp, start_time)
            if self.key:
                self._server.idle[self] = None
            return sent
        if not is_own and not resp.prepared:
            for name, text in _HEADERS:
                resp.headers.setdefault(name, text)
        is_unread = not request.content.is_eof()
        if (is_unread or self._is_ending) and not resp.prepared:
            resp.force_close()
        sent = await super().finish_response(request, resp, start_time)
        transport = self.transport
        if not request.content.is_eof() and transport is not None and not transport.is_closing():
            self.transport = None
            self._left = _Left(transport, self)
            transport.set_protocol(self._left)
        elif self.key:
            self._server.idle[self] = None
        return sent

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or a fault of ours, as any other error; nothing is sent back."""
        super().handle_error(request, status, exc, message)  # logs; raises behind a begun answer
        phrase = HTTPStatus(status).phrase
        detail = _NOT_HTTP if status < HTTPStatus.INTERNAL_SERVER_ERROR else phrase
        response = problem_response(status, phrase, detail, {"Cache-Control": "no-store"})
        response.force_close()
        return response

    def close(self) -> None:
        """Take no further request; of a connection that was made just now, the first is taken."""
        self._is_ending = True
        if self._asking_s() <= 0:
            super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        """End with the server."""
        if (wait_s := self._asking_s()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._asked.wait()
            super().close()
        if self._left is not None:
            self._left.end()
        await super().shutdown(timeout)

    def _asking_s(self) -> float:
        """Return how long its first request may still be on the way."""
        if self._asked.is_set() or self.transport is None:
            return 0.0
        return self._made_s + ASKING_S - asyncio.get_running_loop().time()

    def _end_silent(self) -> None:
        if not self.is_heard:
            self._server.late(self)
            self.drop()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Left(asyncio.Protocol):
    """Holds a connection whose sender goes on with a body that nobody wants, for a moment."""

    def __init__(self, transport: asyncio.Transport, connection: Connection) -> None:
        self._transport = transport
        self._connection = connection
        if transport.can_write_eof():
            transport.write_eof()
        transport.resume_reading()
        self._timer = asyncio.get_running_loop().call_later(LEFT_S, self.end)

    def data_received(self, data: bytes) -> None:
        """Throw away."""

    def end(self) -> None:
        """Close at once."""
        self._timer.cancel()
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on."""
        self._timer.cancel()
        self._connection.connection_lost(exc)
