"""Group commit of claims: one raw pipelined connection per process.

A flush goes out when the previous one has been answered: one EVALSHA per shard with all claims that
came meanwhile, no timer. A claim that cannot be sent, or whose answer does not come in time, fails
with `StoreUnavailableError`; nobody knows then whether it took effect, and repeating it is free.
What a claim decides is written in metering/store/scripts/claim.lua.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

import structlog

from metering.errors import StoreUnavailableError
from metering.log_throttle import LogThrottle
from metering.model import rate_limit
from metering.ports import Claim, ClaimAnswer
from metering.store import keys, resp
from metering.store.records import MeterReading
from metering.store.resp import Script
from metering.units import AccountId, SessionId, Units, shard_of

__all__ = ["MeterReading", "RawClaims"]

CLAIMS_PER_CALL_MAX: Final = 256
"""Claims in one script call: it holds Redis for some 3 ms."""
WAITING_MAX: Final = 32_768
"""Claims that wait for the next flush: what Redis grants in a third of a second."""
_REFUSAL_S: Final = 10.0
"""Whoever is taken out of service for it is asked again: only a claim finds out that it is over."""
_METERS_PER_WRITE: Final = 500
_BACK_OFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)

_log = structlog.get_logger(room="metering")
_OnReply = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class _Target:
    """Where Redis is, from a URL."""

    path: str
    host: str
    port: int
    is_tls: bool
    hello: tuple[bytes, ...]

    @classmethod
    def parse(cls, url: str) -> Self:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        is_unix = parts.scheme == "unix"
        database = query.get("db", ["0" if is_unix else parts.path.strip("/") or "0"])[0]
        hello = []
        if password:
            hello.append(resp.command(*(w.encode() for w in ("AUTH", user, password) if w)))
        if database != "0":
            hello.append(resp.command(b"SELECT", database.encode()))
        return cls(
            unquote(parts.path) if is_unix else "",
            parts.hostname or "127.0.0.1",
            parts.port or 6379,
            parts.scheme == "rediss",
            tuple(hello),
        )


class _Connection(asyncio.Protocol):
    """Bytes in, replies to whoever is next."""

    def __init__(self) -> None:
        self.closed = asyncio.get_running_loop().create_future()
        self._reader = resp.reader()
        self._expected: deque[_OnReply] = deque()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # asyncio types it too wide

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._expected.popleft()(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        lost = StoreUnavailableError("the connection to Redis was lost")
        while self._expected:
            self._expected.popleft()(lost)
        if not self.closed.done():
            self.closed.set_result(exc)

    def send(self, data: bytes, replies: Iterable[_OnReply]) -> None:
        """Write commands; each reply, in order, goes to its callback. Errors come as values."""
        if self._transport is None:
            lost = StoreUnavailableError("the connection to Redis was lost")
            for on_reply in replies:
                on_reply(lost)
            return
        self._expected.extend(replies)
        self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection now."""
        if self._transport is not None:
            self._transport.abort()


class RawClaims:
    """`metering.ports.Claims` on one raw connection. An async context manager.

    Attributes:
        refused_total: Claims that were turned away because too many were waiting.
        flushes_total: Flushes sent; claims per flush is claims_total over it.
        claims_total: Claims sent.
    """

    def __init__(
        self,
        url: str,
        *,
        watched_hours: int = 24,
        window_ms: int = 60_000,
        timeout_ms: int = 2000,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self.refused_total = 0
        self.flushes_total = 0
        self.claims_total = 0
        self._target = _Target.parse(url)
        self._watched_s = watched_hours * 3600
        self._cap = rate_limit.cap_fifths(window_ms)
        self._timeout_s = timeout_ms / 1000
        self._waiting_max = waiting_max
        self._claim = Script("claim")
        self._evidence = Script("evidence")
        self._connection: _Connection | None = None
        self._run_id = ""
        self._expected_epoch = ""
        self._expected_run_id = ""
        self._is_void = False
        self._waiting: dict[int, list[tuple[bytes, asyncio.Future[ClaimAnswer]]]] = {}
        self._waiting_count = 0
        self._unanswered = 0
        self._is_flush_due = False
        self._deadline: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refusal = ""
        self._refused_at_s = 0.0
        self._refusing = LogThrottle()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay_connected(), name="claims")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._drop()

    def set_expected(self, epoch: str, run_id: str) -> None:
        """Say which Redis control last recovered; another one gets no claims."""
        self._expected_epoch = epoch
        self._expected_run_id = run_id
        self._is_void = False
        self._notify()

    @property
    def is_ready(self) -> bool:
        """True while the store is connected and is the one that control last recovered."""
        return (
            self._connection is not None
            and not self._is_void
            and self._expected_epoch != ""
            and self._run_id == self._expected_run_id
        )

    @property
    def refusal(self) -> str:
        """Return what Redis said of late instead of answering, such as that its disk is full."""
        age_s = asyncio.get_running_loop().time() - self._refused_at_s
        return self._refusal if age_s < _REFUSAL_S else ""

    async def wait_ready(self) -> None:
        """Wait until `is_ready`."""
        while not self.is_ready:
            self._changed.clear()
            await self._changed.wait()

    async def claim(self, claim: Claim) -> ClaimAnswer:
        """Ask the store.

        Raises:
            StoreUnavailableError: Not known whether it took effect; the same claim may be repeated.
            InvalidValueError: If the claim cannot be counted exactly: a bug.
        """
        packed = resp.pack_claim(claim)
        if not self.is_ready:
            raise StoreUnavailableError("Redis is away or has not been recovered")
        if self._waiting_count >= self._waiting_max:
            self.refused_total += 1
            raise StoreUnavailableError(f"{self._waiting_count} claims wait already")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[ClaimAnswer] = loop.create_future()
        self._waiting.setdefault(shard_of(claim.account), []).append((packed, future))
        self._waiting_count += 1
        if not self._unanswered and not self._is_flush_due:
            # Claims that come in the same turn of the loop share the flush.
            self._is_flush_due = True
            loop.call_soon(self._flush)
        return await future

    async def offer(self, evidence: Sequence[Claim]) -> None:
        """Report what was delivered: never refused, what the purse cannot pay is counted unpaid.

        Raises:
            StoreUnavailableError: Repeat the whole of it later.
        """
        by_shard: dict[int, list[bytes]] = {}
        for one in evidence:
            by_shard.setdefault(shard_of(one.account), []).append(resp.pack_claim(one))
        if not self.is_ready:
            raise StoreUnavailableError("Redis is away or has not been recovered")
        calls = [
            self._call(self._evidence, shard, packed[start : start + CLAIMS_PER_CALL_MAX])
            for shard, packed in by_shard.items()
            for start in range(0, len(packed), CLAIMS_PER_CALL_MAX)
        ]
        for reply in await self._ask(calls):
            if isinstance(reply, resp.REPLY_ERROR) or reply == resp.EPOCH_DIFFERS:
                raise self._failure(reply)

    async def meters(
        self, viewers: Sequence[tuple[AccountId, bytes, SessionId]]
    ) -> list[MeterReading]:
        """Return what the live meter shows, in the order of `viewers`: one pipelined read.

        Args:
            viewers: Account, stream (16 bytes) and session of each.

        Raises:
            StoreUnavailableError: Redis does not answer.
        """
        readings: list[MeterReading] = []
        for start in range(0, len(viewers), _METERS_PER_WRITE):
            some = viewers[start : start + _METERS_PER_WRITE]
            commands = []
            for account, _, session in some:
                key = keys.session(account, session)
                commands.append(resp.command(b"HMGET", key, b"s", b"b", b"u", b"i"))
                commands.append(resp.command(b"HGET", keys.purse(account), b"b"))
            replies = await self._ask(commands)
            for number, (_, stream, _) in enumerate(some):
                seat, balance = replies[2 * number], replies[2 * number + 1]
                if isinstance(seat, Exception) or isinstance(balance, Exception):
                    raise self._failure(seat)
                readings.append(_reading(seat, balance, stream))
        return readings

    # Flush

    def _flush(self) -> None:
        self._is_flush_due = False
        if not self._waiting or self._unanswered:
            return
        waiting, self._waiting = self._waiting, {}
        self.claims_total += self._waiting_count
        self._waiting_count = 0
        self.flushes_total += 1
        calls: list[bytes] = []
        callbacks: list[_OnReply] = []
        for shard, items in waiting.items():
            for start in range(0, len(items), CLAIMS_PER_CALL_MAX):
                some = items[start : start + CLAIMS_PER_CALL_MAX]
                call = self._call(self._claim, shard, [packed for packed, _ in some])
                futures = [future for _, future in some]
                calls.append(call)
                callbacks.append(self._on_claims(call, futures))
        self._unanswered = len(calls)
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._timeout_s, self._give_up)
        if self._connection is None:
            lost = StoreUnavailableError("the connection to Redis was lost")
            for on_reply in callbacks:
                on_reply(lost)
        else:
            self._connection.send(b"".join(calls), callbacks)

    def _on_claims(
        self, call: bytes, futures: Sequence[asyncio.Future[ClaimAnswer]], *, is_again: bool = False
    ) -> _OnReply:
        def on_reply(reply: Any) -> None:
            if self._is_script_missing(reply) and not is_again and self._connection is not None:
                # SCRIPT FLUSH on a running server: load them and repeat, once.
                again = self._on_claims(call, futures, is_again=True)
                self._connection.send(self._loads() + call, [_ignore, _ignore, again])
                return
            if isinstance(reply, list):
                if self._refusal:
                    self._refusal = ""
                    self._refusing.succeeded()
                for future, answer in zip(futures, resp.answers(reply), strict=True):
                    if not future.done():
                        future.set_result(answer)
            else:
                failure = self._failure(reply)
                for future in futures:
                    if not future.done():
                        future.set_exception(failure)
            self._unanswered -= 1
            if not self._unanswered:
                if self._deadline is not None:
                    self._deadline.cancel()
                self._flush()

        return on_reply

    def _give_up(self) -> None:
        """Nothing came in time: what waits will not be answered in time either."""
        _log.warning("metering.store.timed_out", timeout_s=self._timeout_s)
        self._drop()

    def _call(self, script: Script, shard: int, packed: Sequence[bytes]) -> bytes:
        return resp.claims_command(
            script,
            shard,
            self._expected_epoch.encode(),
            packed,
            watched_s=self._watched_s,
            cap=self._cap,
        )

    def _failure(self, reply: Any) -> StoreUnavailableError:
        if reply == resp.EPOCH_DIFFERS:
            self._is_void = True
            return StoreUnavailableError("Redis is being recovered")
        if isinstance(reply, resp.REPLY_ERROR):
            self._refusal = str(reply)
            self._refused_at_s = asyncio.get_running_loop().time()
            if count := self._refusing.failed(self._refusal):
                _log.error("metering.store.refusing", error=self._refusal, times=count)
        return StoreUnavailableError(f"Redis: {reply}")

    # Connection

    async def _stay_connected(self) -> None:
        failures = 0
        while True:
            try:
                connection = await self._connect()
            except (OSError, StoreUnavailableError) as error:
                if not failures:
                    _log.warning("metering.store.unreachable", error=str(error))
                await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            self._connection = connection
            _log.info("metering.store.connected", run_id=self._run_id, is_ready=self.is_ready)
            self._notify()
            await connection.closed
            self._drop()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        target = self._target
        connection = _Connection()
        try:
            async with asyncio.timeout(self._timeout_s):
                if target.path:
                    await loop.create_unix_connection(lambda: connection, target.path)
                else:
                    context = ssl.create_default_context() if target.is_tls else None
                    await loop.create_connection(
                        lambda: connection, target.host, target.port, ssl=context
                    )
                info = resp.command(b"INFO", b"server")
                replies = await _answered(
                    connection, [*target.hello, info, *_load_commands(self._claim, self._evidence)]
                )
        except TimeoutError as error:
            connection.abort()
            raise StoreUnavailableError("Redis does not answer") from error
        except BaseException:
            connection.abort()
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                connection.abort()
                raise StoreUnavailableError(f"Redis: {reply}")
        self._run_id = _run_id(replies[len(target.hello)])
        return connection

    def _drop(self) -> None:
        """Forget the connection: what was sent or waits fails."""
        connection, self._connection = self._connection, None
        self._run_id = ""
        waiting, self._waiting = self._waiting, {}
        self._waiting_count = 0
        if self._deadline is not None:
            self._deadline.cancel()
        if connection is not None:
            connection.abort()
        for items in waiting.values():
            for _, future in items:
                if not future.done():
                    future.set_exception(StoreUnavailableError("Redis does not answer"))

    async def _ask(self, commands: Sequence[bytes]) -> list[Any]:
        if self._connection is None:
            raise StoreUnavailableError("Redis is away")
        try:
            async with asyncio.timeout(self._timeout_s):
                replies = await _answered(self._connection, commands)
                if any(self._is_script_missing(reply) for reply in replies):
                    await _answered(self._connection, _load_commands(self._claim, self._evidence))
                    replies = await _answered(self._connection, commands)
        except TimeoutError as error:
            # It hangs: were the connection kept, each question more would wait in it for ever.
            self._drop()
            raise StoreUnavailableError("Redis does not answer") from error
        for reply in replies:
            if isinstance(reply, StoreUnavailableError):
                raise reply
        return replies

    def _loads(self) -> bytes:
        return b"".join(_load_commands(self._claim, self._evidence))

    @staticmethod
    def _is_script_missing(reply: Any) -> bool:
        return isinstance(reply, resp.REPLY_ERROR) and str(reply).startswith("NOSCRIPT")

    def _notify(self) -> None:
        self._changed.set()


async def _answered(connection: _Connection, commands: Sequence[bytes]) -> list[Any]:
    """Send commands and return their replies; errors are values."""
    if not commands:
        return []
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    replies: list[Any] = []

    def on_reply(reply: Any) -> None:
        replies.append(reply)
        if len(replies) == len(commands) and not done.done():
            done.set_result(None)

    connection.send(b"".join(commands), [on_reply] * len(commands))
    await done
    return replies


def _load_commands(*scripts: Script) -> list[bytes]:
    return [resp.command(b"SCRIPT", b"LOAD", script.text) for script in scripts]


def _ignore(_reply: Any) -> None:
    """Drop a reply that says nothing: an error shows in the one that follows."""


def _run_id(info: bytes) -> str:
    for line in info.splitlines():
        if line.startswith(b"run_id:"):
            return line[7:].decode()
    raise StoreUnavailableError("Redis does not tell its run id")


def _reading(seat: Sequence[bytes | None], balance: bytes | None, stream: bytes) -> MeterReading:
    state, packed, units, of_stream = seat
    if state is None or packed is None or of_stream != stream:
        return MeterReading(Units(int(balance or 0)), 0, Units(0), "gone")
    ticks = keys.SEAT.unpack(packed)[3]
    return MeterReading(Units(int(balance or 0)), ticks, Units(int(units or 0)), state.decode())
