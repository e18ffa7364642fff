"""The live meter: what the viewer has watched, spent and has left, once a period over a WebSocket.

One pipelined read of all viewers' keys per period, no pub/sub. The page counts on between messages.
A reader too slow to take a message of 200 bytes within a period is dropped: nothing is buffered for
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from aiohttp import WSMsgType, web

from mediaserver import log
from metering.book.records import RETURNING
from metering.errors import StoreUnavailableError
from metering.model.ledger import balance_and_debt
from metering.model.passes import ENDLESS_TICK, covers_until
from metering.model.show_caps import cap_of
from metering.units import AccountId, Asset, Planck, SessionId, StreamPolicy, top_up_address

PERIOD_S: Final = 1.0
SOCKETS_PER_PERIOD: Final = 2000
"""Above this many sockets the period grows in proportion (rules 6)."""
SOCKETS_MAX: Final = 50_000
SOCKETS_PER_SESSION_MAX: Final = 4
"""In one HTTP process: a page has one, and one more while it reloads. The oldest makes room."""
FRAMES_AT_ONCE: Final = 20
FRAMES_PER_S: Final = 1.0
"""What a reader may send: pages say nothing, libraries ping each 20 s and answer our pings."""
SEND_TIMEOUT_S: Final = 1.0
WARN_AT_S: Final = (60, 30, 10)
_PING_S: Final = 20.0
_OVER: Final = 1008
"""RFC 6455, 7.4.1: a policy was broken; coming again changes nothing."""
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

    @property
    def covered_ticks(self) -> int:
        """Ticks of the show that its preview covered."""

    @property
    def left_units(self) -> int | None:
        """What the show may still cost the account; None where nothing of it was counted yet."""

    @property
    def passes(self) -> bytes:
        """The account's passes, packed (`metering.model.passes`)."""


class MeterSource(Protocol):
    """Where readings come from: the claims connection."""

    async def meters(
        self, viewers: Sequence[tuple[AccountId, bytes, SessionId]], shows: Mapping[bytes, int]
    ) -> Sequence[Reading | None]:
        """Return one reading per viewer, None where the store knows no such session.

        `shows` names the show of each stream (16 bytes) of which it is asked what accounts had.
        """


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
        next_price: Callable[[StreamPolicy], dict[str, Any] | None],
        now_ms: Callable[[], int],
        state: Callable[[str], str],
        show: Callable[[str], int],
        asset: Callable[[], Asset],
        top_up_url: Callable[[], str],
    ) -> None:
        self._source = source
        self._policy = policy
        self._price = price
        self._next_price = next_price
        self._now_ms = now_ms
        self._state = state
        self._show = show
        self._asset = asset
        self._top_up_url = top_up_url
        self._sockets: set[_Socket] = set()
        self._by_session: dict[SessionId, list[_Socket]] = {}
        self._closing: set[asyncio.Task[None]] = set()
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

    def end(self, sessions: AbstractSet[int]) -> None:
        """Close the sockets of sessions that are over for good."""
        for session in self._by_session.keys() & sessions:
            for socket in tuple(self._by_session[session]):
                self._sockets.discard(socket)
                closing = asyncio.create_task(self._close(socket))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _close(self, socket: _Socket) -> None:
        """Say why, and close; who does not take it in time is cut off."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(SEND_TIMEOUT_S):
                if socket.stopped != "session":
                    await socket.websocket.send_json({"type": "stopped", "reason": "session"})
                await socket.websocket.close(code=_OVER, message=b"session")
        if socket.transport is not None:
            socket.transport.abort()

    async def serve(self, request: web.BaseRequest, viewer: Viewer) -> web.StreamResponse:
        """Hold one viewer's socket until either side ends it."""
        if len(self._sockets) >= SOCKETS_MAX:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        # Not compressed: deflate holds some 90 kB for each socket, for messages of 200 bytes.
        websocket = web.WebSocketResponse(
            heartbeat=_PING_S, max_msg_size=1024, compress=False, autoping=False
        )
        await websocket.prepare(request)
        socket = _Socket(viewer, websocket, request.transport)
        self._sockets.add(socket)
        of_session = self._by_session.setdefault(viewer.session, [])
        of_session.append(socket)
        if len(of_session) > SOCKETS_PER_SESSION_MAX:
            self._drop(of_session.pop(0), "too_many")
        try:
            await self._feed([socket])
            await self._listen(socket)
        finally:
            self._sockets.discard(socket)
            if socket in of_session:
                of_session.remove(socket)
            if not of_session and self._by_session.get(viewer.session) is of_session:
                del self._by_session[viewer.session]
        return websocket

    async def _listen(self, socket: _Socket) -> None:
        """Answer pings until either side ends it; who sends without end is dropped."""
        began_s, frames = self._now_ms() / 1000, 0
        async for message in socket.websocket:
            frames += 1
            if frames > FRAMES_AT_ONCE + FRAMES_PER_S * (self._now_ms() / 1000 - began_s):
                self._drop(socket, "talks")
                return
            if message.type is WSMsgType.PING:
                await socket.websocket.pong(message.data)

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
        policies = {policy.stream.bytes: policy for policy in map(self._policy_of, sockets)}
        shows = {
            stream: self._show(policy.slug)
            for stream, policy in policies.items()
            if policy.preview_s or policy.caps
        }
        try:
            readings = await self._source.meters(asked, shows)
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

    def _policy_of(self, socket: _Socket) -> StreamPolicy:
        policy = socket.viewer.policy
        return (self._policy(policy.slug) or policy).seen_by(socket.viewer.account)

    def _messages(self, socket: _Socket, reading: Reading) -> list[str]:
        viewer = socket.viewer
        policy = self._policy_of(socket)
        price_planck = self._price(policy)
        quantum = self._asset().quantum
        balance, debt = balance_and_debt(Planck(reading.balance_units * quantum), Planck(0))
        coming, now_ms = self._next_price(policy), self._now_ms()
        free_s = max(0, policy.preview_s - reading.covered_ticks) if price_planck else 0
        left_s = seconds_left(balance, price_planck, coming, now_ms)
        cap = cap_of(policy.caps, self._show(policy.slug)) if policy.caps else None
        show_left = None
        if cap is not None and cap.planck:
            show_left = cap.planck if reading.left_units is None else reading.left_units * quantum
        covered_until = covers_until(
            reading.passes, policy.stream.bytes, now_ms // 1000, self._show(policy.slug)
        )
        if covered_until is not None:
            left_s = None
        if left_s is not None:
            # A balance that lasts until the show costs nothing more lasts to its end.
            is_enough = show_left is not None and left_s >= show_left // price_planck
            left_s = None if is_enough else left_s + free_s
        messages: list[dict[str, Any]] = [
            {
                "type": "meter",
                "seconds": reading.session_ticks,
                "spent": str(reading.session_units * quantum),
                "balance": str(balance),
                "price": str(price_planck),
                "seconds_left": left_s,
                "state": _SHOWN_STATE.get(state := self._state(policy.slug), state),
                "now_ms": now_ms,
            }
        ]
        if debt:
            messages[0]["debt"] = str(debt)
        if free_s:
            messages[0]["free_s"] = free_s
        if covered_until is not None:
            is_month = covered_until != ENDLESS_TICK
            messages[0]["pass"] = {"until_ms": covered_until * 1000 if is_month else None}
        if cap is not None and show_left is not None:
            messages[0] |= {"show_cap": str(cap.planck), "show_left": str(show_left)}
        if coming:
            messages[0]["next_price"] = coming
        stopped = why_stopped(reading.state, left_s)
        if stopped == "session" and reading.state not in RETURNING:
            messages.clear()  # Ended for good: the balance is no longer theirs to know.
        if stopped and stopped != socket.stopped:
            url = top_up_address(self._top_up_url(), viewer.account)
            messages.append({"type": "stopped", "reason": stopped, "top_up_url": url})
        socket.stopped = stopped
        warn = warning(left_s, socket.warned_at_s)
        if warn is not None and not stopped:
            messages.append({"type": "warning", "reason": "low_balance", "seconds_left": warn})
        if warn is not None or left_s is None or left_s > WARN_AT_S[0]:
            socket.warned_at_s = warn
        return [json.dumps(m, separators=(",", ":")) for m in messages]


def seconds_left(
    balance: int, price: int, coming: dict[str, Any] | None, now_ms: int
) -> int | None:
    """Return how many seconds from now on a balance pays for, None for any number.

    Args:
        balance: Planck.
        price: Planck for a second of now.
        coming: The price to come, as the meter tells it.
        now_ms: Unix time of the server.
    """
    if not price:
        return None
    left_s = balance // price
    until_s = max(0, -((now_ms - coming["from_ms"]) // 1000)) if coming else left_s
    if coming is None or left_s <= until_s:
        return left_s
    next_price = int(coming["planck_per_s"])
    return until_s + (balance - until_s * price) // next_price if next_price else None


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
