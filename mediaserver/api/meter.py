"""The live meter: what the viewer has watched, spent and has left, once a period over a WebSocket.

One pipelined read of all viewers' keys per period, no pub/sub. The page counts on between messages.
A reader too slow to take a message of 200 bytes within a period is dropped: nothing is buffered for
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

from aiohttp import web

from mediaserver import log
from metering.errors import StoreUnavailableError
from metering.units import AccountId, Asset, SessionId, StreamPolicy, top_up_address

PERIOD_S: Final = 1.0
SOCKETS_PER_PERIOD: Final = 2000
"""Above this many sockets the period grows in proportion (rules 6)."""
SOCKETS_MAX: Final = 50_000
SOCKETS_PER_SESSION_MAX: Final = 4
"""In one HTTP process: a page has one, and one more while it reloads. The oldest makes room."""
SEND_TIMEOUT_S: Final = 1.0
WARN_AT_S: Final = (60, 30, 10)
_PING_S: Final = 20.0
_SHOWN_STATE: Final = {"offline": "ended"}
"""Who holds a meter has been watching: for them a stream that is off has ended."""


class Reading(Protocol):
    """What the store knows of one viewer session (metering.store.claim_client.MeterReading)."""

    @property
    def balance_units(self) -> int:
        """Balance of the account."""

    @property
    def session_ticks(self) -> int:
        """Ticks billed through this session."""

    @property
    def session_units(self) -> int:
        """What those cost."""

    @property
    def state(self) -> str:
        """``live`` or why it ended."""


class MeterSource(Protocol):
    """Where readings come from: the claims connection."""

    async def meters(
        self, viewers: Sequence[tuple[AccountId, bytes, SessionId]]
    ) -> Sequence[Reading | None]:
        """Return one reading per viewer, None where the store knows no such session."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who watches what."""

    account: AccountId
    session: SessionId
    policy: StreamPolicy


@dataclass(slots=True, eq=False)
class _Socket:
    viewer: Viewer
    websocket: web.WebSocketResponse
    transport: asyncio.Transport | None = field(default=None, repr=False)
    warned_at_s: int | None = None
    stopped: str = ""
    sending: asyncio.Task[None] | None = field(default=None, repr=False)


class Meter:
    """Keeps the sockets and feeds them."""

    def __init__(
        self,
        source: MeterSource,
        *,
        policy: Callable[[str], StreamPolicy | None],
        price: Callable[[StreamPolicy], int],
        state: Callable[[str], str],
        asset: Callable[[], Asset],
        top_up_url: Callable[[], str],
    ) -> None:
        self._source = source
        self._policy = policy
        self._price = price
        self._state = state
        self._asset = asset
        self._top_up_url = top_up_url
        self._sockets: set[_Socket] = set()
        self._by_session: dict[SessionId, list[_Socket]] = {}
        self._log = log.get("meter")
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._feed_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for socket in list(self._sockets):
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(SEND_TIMEOUT_S):
                    await socket.websocket.close(code=1001, message=b"server stops")

    @property
    def count(self) -> int:
        """Return how many viewers are connected."""
        return len(self._sockets)

    async def serve(self, request: web.BaseRequest, viewer: Viewer) -> web.StreamResponse:
        """Hold one viewer's socket until either side ends it. The page sends nothing."""
        if len(self._sockets) >= SOCKETS_MAX:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        # Not compressed: deflate holds some 90 kB for each socket, for messages of 200 bytes.
        websocket = web.WebSocketResponse(heartbeat=_PING_S, max_msg_size=1024, compress=False)
        await websocket.prepare(request)
        socket = _Socket(viewer, websocket, request.transport)
        self._sockets.add(socket)
        of_session = self._by_session.setdefault(viewer.session, [])
        of_session.append(socket)
        if len(of_session) > SOCKETS_PER_SESSION_MAX:
            self._drop(of_session.pop(0), "too_many")
        try:
            await self._feed([socket])
            async for _ in websocket:
                pass
        finally:
            self._sockets.discard(socket)
            if socket in of_session:
                of_session.remove(socket)
            if not of_session and self._by_session.get(viewer.session) is of_session:
                del self._by_session[viewer.session]
        return websocket

    async def _feed_for_ever(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S * max(1.0, len(self._sockets) / SOCKETS_PER_PERIOD))
            await self._feed(list(self._sockets))

    async def _feed(self, sockets: list[_Socket]) -> None:
        if not sockets:
            return
        asked = [
            (s.viewer.account, s.viewer.policy.stream.bytes, s.viewer.session) for s in sockets
        ]
        try:
            readings = await self._source.meters(asked)
        except StoreUnavailableError:
            return  # the page counts on by itself; the next period tries again
        for socket, reading in zip(sockets, readings, strict=True):
            if reading is not None:
                self._send(socket, reading)

    def _send(self, socket: _Socket, reading: Reading) -> None:
        if socket.sending is not None and not socket.sending.done():
            self._drop(socket, "slow")
            return
        messages = self._messages(socket, reading)
        socket.sending = asyncio.create_task(self._write(socket, messages))

    async def _write(self, socket: _Socket, messages: list[str]) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                for message in messages:
                    await socket.websocket.send_str(message)
        except TimeoutError:
            self._drop(socket, "slow")
        except ConnectionError:
            self._sockets.discard(socket)

    def _drop(self, socket: _Socket, reason: str) -> None:
        self.dropped += 1
        self._sockets.discard(socket)
        self._log.info("meter.reader.dropped", reason=reason)
        if socket.transport is not None:
            socket.transport.abort()

    def _messages(self, socket: _Socket, reading: Reading) -> list[str]:
        viewer = socket.viewer
        policy = self._policy(viewer.policy.slug) or viewer.policy
        price_planck = self._price(policy)
        quantum = self._asset().quantum
        balance = reading.balance_units * quantum
        seconds_left = balance // price_planck if price_planck else None
        messages = [
            {
                "type": "meter",
                "seconds": reading.session_ticks,
                "spent": str(reading.session_units * quantum),
                "balance": str(balance),
                "price": str(price_planck),
                "seconds_left": seconds_left,
                "state": _SHOWN_STATE.get(state := self._state(policy.slug), state),
            }
        ]
        stopped = why_stopped(reading.state, seconds_left)
        if stopped and stopped != socket.stopped:
            url = top_up_address(self._top_up_url(), viewer.account)
            messages.append({"type": "stopped", "reason": stopped, "top_up_url": url})
        socket.stopped = stopped
        warn = warning(seconds_left, socket.warned_at_s)
        if warn is not None and not stopped:
            messages.append({"type": "warning", "reason": "low_balance", "seconds_left": warn})
        if warn is not None or seconds_left is None or seconds_left > WARN_AT_S[0]:
            socket.warned_at_s = warn
        return [json.dumps(m, separators=(",", ":")) for m in messages]


def why_stopped(session_state: str, seconds_left: int | None) -> str:
    """Return why the viewer cannot go on: ``session``, ``purse`` or nothing."""
    if session_state != "live":
        return "session"
    return "purse" if seconds_left == 0 else ""


def warning(seconds_left: int | None, warned_at_s: int | None) -> int | None:
    """Return the threshold to warn of now, None when it was sent already or none is reached."""
    if seconds_left is None:
        return None
    reached = [limit for limit in WARN_AT_S if seconds_left <= limit]
    if not reached or (warned_at_s is not None and min(reached) >= warned_at_s):
        return None
    return min(reached)
