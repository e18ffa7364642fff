"""Control's side of the store: cuts and recovery, on redis-py; accounts are account_store.py's.

Runs the scripts; what they decide is written in them. Claims do not pass here
(metering/store/claim_client.py). Every call raises `StoreUnavailableError` when Redis does not
answer or is another one than at the last `connect` or `refresh`: control then recovers it.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Self

from metering.errors import InvalidValueError, StoreUnavailableError
from metering.model import ticks
from metering.store import keys
from metering.store.account_store import AccountStore
from metering.store.pending_words import (
    counted_shows,
    covered_ticks,
    cut_lines,
    pending_words,
    unbilled_ticks,
)
from metering.store.rebuild import ShardWriter
from metering.store.records import ShardMark, ShardState, StoreTotals, Unbilled
from metering.store.store_connection import Remembered, errors_as_unavailable
from metering.units import (
    SHARDS,
    AccountId,
    Cut,
    CutLine,
    Run,
)

_SWEEP_COUNT: Final = 1000
_END: Final = struct.Struct(">16sQ")
"""Of `ShardState.forgiven_ends`; common.lua reads it."""
_SCRIPTS: Final = (
    "open_session",
    "end_session",
    "leave_session",
    "limit_session",
    "deposits",
    "withdraw",
    "buy_pass",
    "cut",
    "forget",
    "forget_unbilled",
    "unbooked",
    "lease",
    "put",
    "drop",
    "carry",
    "rebuild",
)


class Store(AccountStore):
    """Redis as control sees it. Make one with `connect`, leave it with `close`.

    Attributes:
        is_quiet: Whether nothing was written between the last two reads of `epoch`.
    """

    def __init__(self, url: str, fsync: str, watched_hours: int, window_ms: int) -> None:
        super().__init__(url, fsync, _SCRIPTS, ShardWriter(watched_hours, window_ms))
        self.is_quiet = False
        self._swept_for = ""
        self._epoch: Remembered[str | None] | None = None
        self._clean: Remembered[None] | None = None
        self._totals: Remembered[StoreTotals] | None = None

    @classmethod
    async def connect(
        cls, url: str, fsync: str, *, watched_hours: int = 24, window_ms: int = 60_000
    ) -> Self:
        """Return a connected store, whose settings keep what is written.

        Args:
            url: ``unix:///path`` or ``redis://[user:password@]host:port/db``.
            fsync: What `appendfsync` must be.
            watched_hours: How long a tick is remembered as watched.
            window_ms: Longest playlist window: decides what a pace bucket holds.

        Raises:
            StoreUnavailableError: If it does not answer.
            StoreRefusedError: If it would lose money; names the setting.
        """
        store = cls(url, fsync, watched_hours, window_ms)
        try:
            await store.refresh()
        except BaseException:
            await store.close()
            raise
        return store

    async def epoch(self) -> str | None:
        """Return the epoch of all shards; None when there is none or they differ: rebuild."""
        async with errors_as_unavailable():
            state = await self._state()
            self.is_quiet = self._epoch is not None and self._epoch.state == state
            if self._epoch is None or self._epoch.state != state:
                # One command, as control asks each second: 256 GETs cost it 4 ms, this 0.4.
                markers = set(await self._redis.mget(map(keys.epoch, range(SHARDS))))
                marker = markers.pop()
                epoch = None if markers or not isinstance(marker, bytes) else marker.decode()
                self._epoch = Remembered(state, epoch)
        return self._epoch.value

    # Cuts

    async def cut(self, shard: int, number: int, booked_number: int) -> Cut | None:
        """Move what is pending away under `number`; the same number gives the same cut again.

        Returns:
            The cut, or None when nothing is pending: then the number is not used.

        Raises:
            InvalidValueError: If `number` - 1 is not booked, or `number` was forgotten.
            StoreUnavailableError: If the shard has not made cut `number` - 1: it lost its tail and
                must be rebuilt.
        """
        reply = await self._run("cut", keys.meta(shard), number, booked_number)
        if reply == b"GAP":
            raise StoreUnavailableError(
                f"shard {shard} does not know cut {number - 1}: it went back and must be rebuilt"
            )
        if isinstance(reply, bytes):
            why = {b"GONE": "was forgotten", b"UNBOOKED": f"comes before {number - 1} is booked"}
            raise InvalidValueError(f"cut {number} of shard {shard} {why[reply]}")
        if not reply:
            return None
        fields = dict(zip(reply[::2], reply[1::2], strict=True))
        counts = {key[1:]: int(value) for key, value in fields.items() if key[:1] == b"n"}
        bits = [(key, value) for key, value in fields.items() if key[:1] == b"b"]
        return Cut(shard, number, cut_lines(bits, counts))

    async def dirty_shards(self) -> list[int]:
        """Return the shards that have something pending, or a cut that is not booked."""
        async with errors_as_unavailable():
            state = await self._state()
            if self._clean is not None and self._clean.state == state:
                return []
            pipe = self._redis.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.exists(keys.pending(shard))
                pipe.hmget(keys.meta(shard), "cut", "booked")
            replies = await pipe.execute()
        dirty = [
            shard
            for shard in range(SHARDS)
            if replies[2 * shard] or _is_unbooked(*replies[2 * shard + 1])
        ]
        self._clean = None if dirty else Remembered(state, None)
        return dirty

    async def forget(self, shard: int, up_to_number: int) -> None:
        """Drop the cuts whose batch is final."""
        while await self._run("forget", keys.meta(shard), up_to_number):
            pass

    async def unbilled(self) -> list[Unbilled]:
        """Return what is watched and never billed, as far as it was not forgotten."""
        async with errors_as_unavailable():
            pipe = self._redis.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.hgetall(keys.unbilled(shard))
                pipe.hgetall(keys.covered(shard))
            replies: list[Mapping[bytes, bytes]] = await pipe.execute()
        return [
            Unbilled(
                shard,
                unbilled_ticks(free.items()),
                tuple(word for pair in free.items() for word in pair),
                covered_ticks(covered.items()),
                tuple(word for pair in covered.items() for word in pair),
                counted_shows(covered),
            )
            for shard, (free, covered) in enumerate(zip(replies[::2], replies[1::2], strict=True))
            if free or covered
        ]

    async def forget_unbilled(self, unbilled: Unbilled) -> None:
        """Drop what the book has; what was added since is kept."""
        shard = unbilled.shard
        for key, words in (
            (keys.unbilled(shard), unbilled.words),
            (keys.covered(shard), unbilled.covered_words),
        ):
            if words:
                await self._run("forget_unbilled", key, *words)

    # Recovery

    async def marks(self) -> dict[int, ShardMark]:
        """Return the mark of each shard that has ever served a book."""
        async with errors_as_unavailable():
            pipe = self._redis.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.hmget(keys.meta(shard), "epoch", "booked", "from", "to", "ends")
                pipe.hget(keys.totals(shard), "metered")
            replies = await pipe.execute()
        marks = {}
        for shard in range(SHARDS):
            (epoch, booked, first, stop, ends), metered = replies[2 * shard : 2 * shard + 2]
            if booked:
                forgiven = Run(int(first), int(stop) - int(first)) if stop else None
                marks[shard] = ShardMark(
                    (epoch or b"").decode(),
                    int(booked),
                    int(metered or 0),
                    forgiven,
                    tuple(_END.iter_unpack(ends or b"")),
                )
        return marks

    async def void(self) -> None:
        """Let no claim pass until every shard is rebuilt."""
        epochs = [keys.epoch(shard) for shard in range(SHARDS)]
        await self._run_all("drop", [(key, [key, self._fence]) for key in epochs])

    async def unbooked(self, shard: int, booked_number: int | None = None) -> tuple[CutLine, ...]:
        """Return what is pending or in cuts after `booked_number`, merged per key.

        Args:
            booked_number: Last cut that the book has; None: the last that the shard knows of.
        """
        bits, counts = await self._run(
            "unbooked", keys.meta(shard), "" if booked_number is None else booked_number
        )
        return cut_lines(
            zip(bits[::2], bits[1::2], strict=True),
            {key: int(value) for key, value in zip(counts[::2], counts[1::2], strict=True)},
        )

    async def rebuild(self, shard: int, state: ShardState, epoch: str) -> None:
        """Replace the whole shard; its epoch marker is written last.

        The first call with a new epoch voids every shard (no claim passes) and removes what is
        derived from the book, so all 256 must be rebuilt under it. What was pending or unbooked
        stays until its own shard is rebuilt, in one step.
        """
        if self._swept_for != epoch:
            await self._sweep()
            self._swept_for = epoch
        async with errors_as_unavailable():
            now_s, micros = await self._redis.time()
        async with self._fenced(shard) as pipe:
            self._writer.write(pipe, state, now_s * 1000 + micros // 1000)
        cumulative = sum(count for _, count in state.cumulative)
        metered = cumulative + sum(ticks.count(line.runs) for line in state.pending)
        forgiven = state.forgiven or Run(0, 0)
        await self._run(
            "rebuild",
            keys.epoch(shard),
            epoch,
            state.booked_number,
            forgiven.first,
            forgiven.first + forgiven.count,
            metered,
            state.newly_forgiven,
            b"".join(_END.pack(*end) for end in state.forgiven_ends),
            *pending_words(state.pending),
        )

    async def totals(self) -> StoreTotals:
        """Return the counts over all shards."""
        async with errors_as_unavailable():
            state = await self._state()
            if self._totals is not None and self._totals.state == state:
                return self._totals.value
            pipe = self._redis.pipeline(transaction=False)
            for shard in range(SHARDS):
                pipe.hgetall(keys.totals(shard))
            replies: list[Mapping[bytes, bytes]] = await pipe.execute()

        def total(field: bytes) -> int:
            return sum(int(reply.get(field, 0)) for reply in replies)

        totals = StoreTotals(
            total(b"metered"),
            total(b"unpaid"),
            total(b"forgiven"),
            total(b"pending"),
            total(b"late"),
            total(b"covered"),
            total(b"shows"),
        )
        self._totals = Remembered(state, totals)
        return totals

    async def carry(self, *, unpaid: int, forgiven: int, late: int, covered: int) -> None:
        """Count so many ticks more beside the bill, so that `totals` go on from the book's."""
        words = ("unpaid", unpaid, "forgiven", forgiven, "late", late, "covered", covered)
        await self._run("carry", keys.totals(0), *words)

    async def lease(self, operator: AccountId, holder: str, ttl_ms: int, known_token: int) -> int:
        """Take or renew the right to submit with a key; return its token, 0 when another has it.

        Args:
            holder: Name of the caller, in hexadecimal digits.
            ttl_ms: For how long; 0 gives it back.
            known_token: The newest that the caller's book has seen: the answer is never below.
        """
        key = keys.lease(operator)
        return int(await self._run("lease", key, holder, ttl_ms, known_token))

    # Helpers

    async def _sweep(self) -> None:
        """Void every shard, then remove what is derived from the book."""
        await self.void()
        async with errors_as_unavailable():
            cursor = 0
            while True:
                cursor, names = await self._redis.scan(cursor, match="{*}:*", count=_SWEEP_COUNT)
                gone = _derived(names).items()
                await self._run_all(
                    "drop", [(keys.epoch(shard), [*some, self._fence]) for shard, some in gone]
                )
                if cursor == 0:
                    return


def _derived(names: Iterable[bytes | str]) -> dict[int, list[bytes]]:
    """Return the keys that recovery derives anew, by shard."""
    gone = defaultdict[int, list[bytes]](list)
    for name in names:
        key = name.encode() if isinstance(name, str) else name
        shard, _, rest = key[1:].partition(b"}:")
        if rest[0] in keys.DERIVED_KINDS:
            gone[int(shard)].append(key)
    return gone


def _is_unbooked(last: bytes | None, booked: bytes | None) -> bool:
    return int(last or 0) > int(booked or 0)
