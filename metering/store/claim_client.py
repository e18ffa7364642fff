"""Group commit of claims: one raw pipelined connection per process.

A flush goes out when the previous one has been answered: one EVALSHA per shard with all claims that
came meanwhile, no timer. A claim that cannot be sent, or whose answer does not come in time, fails
with `StoreUnavailableError`; nobody knows then whether it took effect, and repeating it is free.
What a claim decides is written in metering/store/scripts/claim.lua.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import structlog

from metering.errors import StoreUnavailableError
from metering.log_throttle import LogThrottle
from metering.model import rate_limit
from metering.ports import Claim, ClaimAnswer
from metering.store import clock_check, keys, resp
from metering.store.address import RedisAddress
from metering.store.claim_connection import ClaimConnection, OnReply, connect, load_commands
from metering.store.records import MeterReading
from metering.store.resp import Script
from metering.units import AccountId, SessionId, Units, shard_of

__all__ = ["MeterReading", "RawClaims"]

CLAIMS_PER_CALL_MAX: Final = 256
"""Claims in one script call: it holds Redis for some 3 ms."""
WAITING_MAX: Final = 32_768
"""Claims that wait for the next flush: what Redis grants in a third of a second."""
_REFUSAL_S: Final = 10.0
"""A process out of service for it serves again after this: only a claim shows that it is over."""
_STALL_S: Final = 0.5
"""A timer that is later than this was held up by our own process."""
_METERS_PER_WRITE: Final = 500
_BACK_OFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)

_log = structlog.get_logger(room="metering")


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
        self._address = RedisAddress.parse(url)
        self._watched_s = watched_hours * 3600
        self._cap = rate_limit.cap_fifths(window_ms)
        self._timeout_s = timeout_ms / 1000
        self._waiting_max = waiting_max
        self._claim = Script("claim")
        self._evidence = Script("evidence")
        self._connection: ClaimConnection | None = None
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
        """Set which Redis control last recovered; another one gets no claims."""
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
        """Return the newest error of Redis, such as a full disk; empty when it is old or none."""
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
        """Report what was delivered: never refused, what the balance cannot pay is counted unpaid.

        Raises:
            StoreUnavailableError: Repeat the whole of it later.
        """
        by_shard: dict[int, list[bytes]] = {}
        for claim in evidence:
            by_shard.setdefault(shard_of(claim.account), []).append(resp.pack_claim(claim))
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
        self,
        viewers: Sequence[tuple[AccountId, bytes, SessionId]],
        shows: Mapping[bytes, int] = MappingProxyType({}),
    ) -> list[MeterReading]:
        """Return what the live meter shows, in the order of `viewers`: one pipelined read.

        Args:
            viewers: Account, stream (16 bytes) and session of each.
            shows: Of streams where it is asked what an account had of a show: which show.

        Raises:
            StoreUnavailableError: Redis does not answer, or has not been recovered: what it has of
                a session until then says nothing, as a recovery drops all before it writes it.
        """
        if not self.is_ready:
            raise StoreUnavailableError("Redis is away or has not been recovered")
        readings: list[MeterReading] = []
        for start in range(0, len(viewers), _METERS_PER_WRITE):
            some = viewers[start : start + _METERS_PER_WRITE]
            commands = []
            for account, stream, session in some:
                key = keys.session(account, session)
                commands.append(resp.command(b"HMGET", key, b"s", b"b", b"u", b"i", b"h"))
                commands.append(resp.command(b"HMGET", keys.balance(account), b"b", b"q"))
                if show := shows.get(stream):
                    counts = keys.counts(account, stream)
                    commands.append(resp.command(b"HMGET", counts, b"f%d" % show, b"r%d" % show))
            replies = await self._ask(commands)
            if failed := [reply for reply in replies if isinstance(reply, Exception)]:
                raise self._failure(failed[0])
            answers = iter(replies)
            for _, stream, _ in some:
                fields, of_account = next(answers), next(answers)
                show_fields = next(answers) if shows.get(stream) else (None, None)
                readings.append(_reading(fields, of_account, show_fields, stream))
        return readings

    async def redis_ms(self) -> int:
        """Return what time Redis has, Unix ms.

        Raises:
            StoreUnavailableError: It does not answer.
        """
        (reply,) = await self._ask([clock_check.TIME])
        return clock_check.time_of(reply)

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
        callbacks: list[OnReply] = []
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
    ) -> OnReply:
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
        """Drop the connection: what waits will not be answered in time either."""
        loop = asyncio.get_running_loop()
        if self._deadline is not None and loop.time() - self._deadline.when() > _STALL_S:
            # We stood still, not Redis: its answer may wait in the socket, unread.
            self._deadline = loop.call_later(self._timeout_s, self._give_up)
            return
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
        failures, away = 0, LogThrottle()
        while True:
            try:
                connection, run_id = await connect(
                    self._address, self._timeout_s, (self._claim, self._evidence)
                )
            except (OSError, StoreUnavailableError) as error:
                if count := away.failed(str(error)):
                    _log.warning("metering.store.unreachable", error=str(error), times=count)
                await asyncio.sleep(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
                failures += 1
                continue
            failures = 0
            away.succeeded()
            self._connection, self._run_id = connection, run_id
            _log.info("metering.store.connected", run_id=self._run_id, is_ready=self.is_ready)
            self._notify()
            await connection.closed
            self._drop()

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
                replies = await self._connection.ask(commands)
                if any(self._is_script_missing(reply) for reply in replies):
                    await self._connection.ask(load_commands((self._claim, self._evidence)))
                    replies = await self._connection.ask(commands)
        except TimeoutError as error:
            # It hangs: on a kept connection each further command would wait indefinitely.
            self._drop()
            raise StoreUnavailableError("Redis does not answer") from error
        for reply in replies:
            if isinstance(reply, StoreUnavailableError):
                raise reply
        return replies

    def _loads(self) -> bytes:
        return b"".join(load_commands((self._claim, self._evidence)))

    @staticmethod
    def _is_script_missing(reply: Any) -> bool:
        return isinstance(reply, resp.REPLY_ERROR) and str(reply).startswith("NOSCRIPT")

    def _notify(self) -> None:
        self._changed.set()


def _ignore(_reply: Any) -> None:
    """Drop a reply that carries nothing: an error shows in the one that follows."""


def _reading(
    fields: Sequence[Any], account: Sequence[Any], show_fields: Sequence[Any], stream: bytes
) -> MeterReading:
    (state, packed, units, of_stream, taken_over), (covered, left) = fields, show_fields
    balance, passes = account
    if state is None or packed is None or of_stream != stream:
        return MeterReading(Units(int(balance or 0)), 0, Units(0), "gone")
    ticks = keys.SLOT.unpack(packed)[3]
    own_units = Units(int(units or 0) - int(taken_over or 0))
    left_units = None if left is None else Units(int(left))
    shown = Units(int(balance or 0)), ticks, own_units, state.decode()
    return MeterReading(*shown, int(covered or 0), left_units, passes or b"")
