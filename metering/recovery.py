"""Makes Redis what the book says it must be: one way for a restart, a fail-over and an empty one.

Taken from Redis are only the ticks that are pending or in cuts that the book has not, less those
that the book has. All else is derived from the book. A crash at any point repeats harmlessly: each
shard changes in one step, and what it held pending is in what replaces it.

Source: docs/metering.md, "After Redis restarted".
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol
from uuid import UUID

import structlog

from metering import ticks
from metering.book.book import Book
from metering.book.records import BookedTicks, EntryRecord, Recovered, SessionRecord
from metering.book.thread import OffLoop
from metering.price import to_units
from metering.store.state import PurseState, SessionGrant, ShardState, WatchedState
from metering.units import (
    SHARDS,
    AccountId,
    CutLine,
    EntryKey,
    Planck,
    Run,
    Units,
    shard_of,
)

FSYNC_BOUND_MS: Final = 2000
"""What ``appendfsync everysec`` may lose: each second is written, a slow disk doubles it."""
_DAY_S: Final = 86400

_log = structlog.get_logger(room="metering")


class RecoverStore(Protocol):
    """What recovery needs of `metering.store.redis.Store`."""

    run_id: str

    async def epoch(self) -> str | None:
        """Return the epoch of all shards, None when it must be rebuilt."""

    async def leftovers(self, shard: int, booked_number: int | None = None) -> tuple[CutLine, ...]:
        """Return what is pending or in cuts after `booked_number`."""

    async def rebuild(self, shard: int, state: ShardState, epoch: str) -> None:
        """Replace the whole shard."""


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    """What recovery must know of the settings.

    Attributes:
        watched_hours: [metering].watched_hours.
        cut_period_s: [metering].cut_period_s.
        session_limit_units: What one session may spend, 0 for no limit.
        stream_limit_units: What one stream may take of a purse, 0 for no limit.
        day_limit_units: What one day may take of a purse, 0 for no limit.
    """

    watched_hours: int
    cut_period_s: int
    session_limit_units: Units = Units(0)  # noqa: RUF009 -- a NewType: an int, immutable
    stream_limit_units: Units = Units(0)  # noqa: RUF009 -- a NewType: an int, immutable
    day_limit_units: Units = Units(0)  # noqa: RUF009 -- a NewType: an int, immutable


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done.

    Attributes:
        epoch: The name of what Redis holds now.
        replay_from_ms: HTTP processes offer, as evidence, what they committed since then.
        pending_ticks: Ticks that Redis had and the book had not: none of them is lost.
        is_new: False when Redis was already the one last recovered, and nothing was changed.
    """

    epoch: str
    replay_from_ms: int
    pending_ticks: int
    is_new: bool


async def recover(
    store: RecoverStore, book: Book, off_loop: OffLoop, now_ms: int, policy: RecoveryPolicy
) -> Recovery:
    """Rebuild Redis from the book, unless it is the one that was last recovered.

    Raises:
        StoreUnavailableError: Redis went away meanwhile: recover again.
        BookError: The book does not answer: recover again.
    """
    epoch = await store.epoch()
    ours = await off_loop(book.recovered)
    replay_from_ms = _replay_from_ms(await off_loop(book.last_cut_ms), policy)
    if ours is not None and (ours.epoch, ours.run_id) == (epoch, store.run_id):
        return Recovery(ours.epoch, replay_from_ms, 0, is_new=False)
    named = secrets.token_hex(8)
    numbers = await off_loop(book.booked_numbers)
    in_use = await off_loop(book.shards_in_use)
    prices = await off_loop(book.prices)
    sessions = _by_shard(await off_loop(lambda: book.sessions_live(now_ms)))
    pending_ticks = 0
    for shard in range(SHARDS):
        number = numbers.get(shard, 0)
        leftovers = await store.leftovers(shard, number)
        if shard not in in_use and not leftovers:
            await store.rebuild(shard, ShardState(booked_number=number), named)
            continue
        state = await off_loop(
            partial(
                _shard_state,
                book,
                shard,
                number=number,
                leftovers=leftovers,
                sessions=sessions.get(shard, []),
                now_ms=now_ms,
                policy=policy,
                prices=prices,
            )
        )
        await store.rebuild(shard, state, named)
        pending_ticks += sum(ticks.count(line.runs) for line in state.pending)
    done = Recovered(named, store.run_id, now_ms)
    await off_loop(lambda: book.set_recovered(done))
    _log.warning("metering.store.recovered", epoch=named, pending_ticks=pending_ticks)
    return Recovery(named, replay_from_ms, pending_ticks, is_new=True)


def _replay_from_ms(last_cut_ms: int | None, policy: RecoveryPolicy) -> int:
    """Return since when HTTP processes must offer again: what no booked cut can have missed.

    Offering too much is harmless (a union), so without a cut it is everything they remember.
    """
    if last_cut_ms is None:
        return 0
    return max(0, last_cut_ms - FSYNC_BOUND_MS - policy.cut_period_s * 1000)


def less_booked(
    leftovers: Iterable[CutLine], booked: Iterable[BookedTicks], counts: dict[EntryKey, int]
) -> tuple[CutLine, ...]:
    """Return the leftovers less what the book has, each tick of a viewer and stream once.

    A tick is one tick whatever join number or price version it was counted under.
    """
    seen: dict[tuple[AccountId, UUID], tuple[Run, ...]] = {}
    for one in booked:
        at = (one.key.account, one.key.stream)
        seen[at] = ticks.union(seen.get(at, ()), one.runs)
    out = []
    for line in leftovers:
        at = (line.key.account, line.key.stream)
        fresh = ticks.difference(line.runs, seen.get(at, ()))
        if fresh:
            seen[at] = ticks.union(seen.get(at, ()), fresh)
            total = counts.get(line.key, 0) + ticks.count(fresh)
            out.append(CutLine(line.key, fresh, total))
    return tuple(out)


def _shard_state(
    book: Book,
    shard: int,
    *,
    number: int,
    leftovers: tuple[CutLine, ...],
    sessions: Sequence[SessionRecord],
    now_ms: int,
    policy: RecoveryPolicy,
    prices: Mapping[tuple[UUID, int], Planck],
) -> ShardState:
    """Return what a shard must hold."""
    entries = book.entries(shard)
    counts = {entry.key: entry.booked for entry in entries}
    now_tick = now_ms // 1000
    oldest = min(
        [now_tick - policy.watched_hours * 3600]
        + [run.first for line in leftovers for run in line.runs]
    )
    booked = book.booked_ticks(shard, max(0, oldest))
    pending = less_booked(leftovers, booked, counts)
    watched: dict[tuple[AccountId, UUID], tuple[Run, ...]] = {}
    for one in booked:
        at = (one.key.account, one.key.stream)
        watched[at] = ticks.union(watched.get(at, ()), one.runs)
    return ShardState(
        purses=_purses(
            book,
            shard,
            entries=entries,
            booked=booked,
            pending=pending,
            now_tick=now_tick,
            policy=policy,
            prices=prices,
        ),
        watched=tuple(
            WatchedState(account, stream.bytes, runs) for (account, stream), runs in watched.items()
        ),
        pending=pending,
        cumulative=tuple(counts.items()),
        booked_number=number,
        sessions=tuple(
            SessionGrant(
                one.account,
                one.stream.bytes,
                one.session,
                one.join,
                policy.session_limit_units,
                one.expires_ms,
            )
            for one in sessions
        ),
    )


def _purses(
    book: Book,
    shard: int,
    *,
    entries: Sequence[EntryRecord],
    booked: Sequence[BookedTicks],
    pending: Sequence[CutLine],
    now_tick: int,
    policy: RecoveryPolicy,
    prices: Mapping[tuple[UUID, int], Planck],
) -> tuple[PurseState, ...]:
    """Return every purse of a shard: what was paid in and spent, booked and pending."""
    spent: dict[AccountId, int] = defaultdict(int)
    by_stream: dict[AccountId, dict[UUID, int]] = defaultdict(lambda: defaultdict(int))
    today: dict[AccountId, int] = defaultdict(int)
    for key, count in [(entry.key, entry.booked) for entry in entries] + [
        (line.key, ticks.count(line.runs)) for line in pending
    ]:
        cost = count * prices[key.stream, key.version]
        spent[key.account] += cost
        by_stream[key.account][key.stream] += cost
    day = [Run(now_tick // _DAY_S * _DAY_S, _DAY_S)]
    for one in [*booked, *(BookedTicks(line.key, line.runs) for line in pending)]:
        count = ticks.count(ticks.intersection(one.runs, day))
        today[one.key.account] += count * prices[one.key.stream, one.key.version]
    return tuple(
        PurseState(
            account,
            to_units(deposited, book.asset.quantum),
            to_units(Planck(spent[account]), book.asset.quantum),
            policy.stream_limit_units,
            policy.day_limit_units,
            to_units(Planck(today[account]), book.asset.quantum),
            tuple(
                (stream.bytes, to_units(Planck(planck), book.asset.quantum))
                for stream, planck in by_stream[account].items()
            ),
        )
        for account, deposited in book.deposits_of(shard).items()
    )


def _by_shard(sessions: Iterable[SessionRecord]) -> dict[int, list[SessionRecord]]:
    found: dict[int, list[SessionRecord]] = defaultdict(list)
    for session in sessions:
        found[shard_of(session.account)].append(session)
    return found
