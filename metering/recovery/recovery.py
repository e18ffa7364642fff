"""Makes Redis what the book requires: one way for a restart, a fail-over and an empty one.

Taken from Redis are only the ticks that are pending or in cuts that the book has not, less those
that the book has. All else is derived from the book. A crash at any point repeats harmlessly: each
shard changes in one step, and what it held pending is in what replaces it.

A shard that was made by a recovery which the book does not know, or knows more cuts to be booked
than the book has, shows that the book is an older one, restored: such a shard forgives what it
cannot know to be unbilled.

Source: docs/metering.md, "After Redis restarted", "After the book was restored".
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

import structlog

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.records import (
    EntryRecord,
    Floor,
    Recovered,
    SessionRecord,
    UnbilledTicks,
)
from metering.model import ticks
from metering.model.escrow_events import overlaid
from metering.model.escrow_overlay import Overlay
from metering.model.join_caps import JoinLimits
from metering.recovery.derive import (
    balance_states,
    forgiven_range,
    join_states,
    less_booked,
    watched_states,
)
from metering.settlement.unbilled import UnbilledStore, keep_unbilled
from metering.store.records import EndedSession, JoinState, SessionGrant, ShardMark, ShardState
from metering.units import (
    SHARDS,
    CutLine,
    Planck,
    Run,
    Units,
    shard_of,
)

FSYNC_BOUND_MS: Final = 2000
"""What ``appendfsync everysec`` may lose: each second is written, a slow disk doubles it."""
ENDED_KEPT_MS: Final = 3_600_000
"""Evidence for a session that ended so long ago is still billed after a rebuild."""

_log = structlog.get_logger(room="metering")


class RecoverStore(UnbilledStore, Protocol):
    """What recovery needs of `metering.store.client.Store`."""

    run_id: str

    async def epoch(self) -> str | None:
        """Return the epoch of all shards, None when it must be rebuilt."""

    async def marks(self) -> dict[int, ShardMark]:
        """Return the mark of each shard that ever served a book."""

    async def void(self) -> None:
        """Let no claim pass until every shard is rebuilt."""

    async def unbooked(self, shard: int, booked_number: int | None = None) -> tuple[CutLine, ...]:
        """Return what is pending or in cuts after `booked_number`."""

    async def rebuild(self, shard: int, state: ShardState, epoch: str) -> None:
        """Replace the whole shard."""


@dataclass(frozen=True, slots=True)
class RecoveryPolicy:
    """What recovery must know of the settings.

    Attributes:
        watched_hours: [metering].watched_hours.
        cut_period_s: [metering].cut_period_s.
        window_ms: Longest playlist window: what a player can ask for again.
        session_limit_units: What one session may spend, 0 for no limit.
        stream_limit_units: What one stream may take of a balance, 0 for no limit.
        day_limit_units: What one day may take of a balance, 0 for no limit.
        has_joins: Batches are settled on a chain: every session keeps to the caps of its join.
    """

    watched_hours: int
    cut_period_s: int
    window_ms: int = 60_000
    session_limit_units: Units = Units(0)  # noqa: RUF009 -- a NewType: an int, immutable
    stream_limit_units: Units = Units(0)  # noqa: RUF009 -- a NewType: an int, immutable
    day_limit_units: Units = Units(0)  # noqa: RUF009 -- a NewType: an int, immutable
    has_joins: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done.

    Attributes:
        epoch: The name of what Redis holds now.
        replay_from_ms: HTTP processes offer, as evidence, what they committed since then.
        pending_ticks: Ticks that Redis had and the book had not: none of them is lost.
        is_new: False when Redis was already the one last recovered, and nothing was changed.
        floors: Shards for which the book was found to be an older one, restored.
    """

    epoch: str
    replay_from_ms: int
    pending_ticks: int
    is_new: bool
    floors: tuple[Floor, ...] = ()


@dataclass(slots=True)
class _Work:
    """What is known before the first shard, and found on the way."""

    now_ms: int
    policy: RecoveryPolicy
    forgiven: Run
    numbers: dict[int, int]
    foreign: set[int]
    in_use: set[int]
    prices: dict[tuple[UUID, int], Planck]
    live: dict[int, list[SessionRecord]]
    ended: dict[int, list[SessionRecord]]
    overlay: Overlay | None
    limits: JoinLimits | None
    chain_s: int
    floors: list[Floor] = field(default_factory=list)
    pending_ticks: int = 0
    dropped_ticks: int = 0

    @property
    def oldest(self) -> int:
        """Return the oldest tick that a claim may name."""
        return max(0, self.now_ms // 1000 - self.policy.watched_hours * 3600)


async def recover(
    store: RecoverStore,
    book: AsyncBook,
    now_ms: int,
    policy: RecoveryPolicy,
    *,
    newest_tick: int = 0,
    overlay: Overlay | None = None,
) -> Recovery:
    """Rebuild Redis from the book, unless it is the one that was last recovered.

    Args:
        newest_tick: Newest second that was planned by any stream: matters after a restored book.
        overlay: The chain's blocks after the finalized one, when they are known.

    Raises:
        StoreUnavailableError: Redis went away meanwhile: recover again.
        BookError: The book does not answer: recover again.
    """
    epoch = await store.epoch()
    ours = await book.run(lambda book: book.recoveries.newest())
    replay_from_ms = _replay_from_ms(await book.run(lambda book: book.cuts.last_ms()), policy)
    numbers = await book.run(lambda book: book.cuts.booked_numbers())
    epochs = await book.run(lambda book: book.recoveries.epochs())
    is_ours = ours is not None and (ours.epoch, ours.run_id) == (epoch, store.run_id)
    marks = await store.marks()
    foreign = {
        shard for shard, mark in marks.items() if _is_foreign(mark, numbers.get(shard, 0), epochs)
    }
    if ours is not None and is_ours and not foreign:
        return Recovery(ours.epoch, replay_from_ms, 0, is_new=False)
    await store.void()
    await keep_unbilled(store, book)
    first = max(0, (replay_from_ms - policy.window_ms) // 1000)
    stop = max(now_ms // 1000, newest_tick) + 1
    ended_ms = max(0, min(replay_from_ms or now_ms, now_ms - ENDED_KEPT_MS))
    work = _Work(
        now_ms,
        policy,
        Run(first, stop - first),
        numbers,
        foreign,
        await book.run(lambda book: book.cuts.shards_in_use()),
        await book.run(lambda book: book.streams.prices()),
        _by_shard(await book.run(lambda book: book.sessions.live(now_ms))),
        _by_shard(await book.run(lambda book: book.sessions.ended(ended_ms, now_ms))),
        overlay,
        await book.run(lambda book: book.joins.limits()) if policy.has_joins else None,
        cursor.at_s if (cursor := await book.run(lambda book: book.escrow.cursor())) else 0,
    )
    marks = await store.marks()
    named = secrets.token_hex(8)
    await book.run(lambda book: book.recoveries.add_epoch(named, now_ms))
    for shard in range(SHARDS):
        await _rebuild(store, book, work, shard, marks.get(shard), named)
    done = Recovered(named, store.run_id, now_ms)
    await book.run(lambda book: book.recoveries.put(done))
    _log.warning("metering.store.recovered", epoch=named, pending_ticks=work.pending_ticks)
    if work.floors or work.dropped_ticks:
        _log.error(
            "metering.book.restored",
            shards=len(work.floors),
            forgiven_from=first,
            forgiven_to=stop,
            lost_ticks=sum(floor.lost_ticks for floor in work.floors),
            dropped_ticks=work.dropped_ticks,
        )
    return Recovery(
        named, replay_from_ms, work.pending_ticks, is_new=True, floors=tuple(work.floors)
    )


async def _rebuild(  # noqa: PLR0917 -- one step of `recover`, with what it holds
    store: RecoverStore,
    book: AsyncBook,
    work: _Work,
    shard: int,
    mark: ShardMark | None,
    epoch: str,
) -> None:
    """Rebuild one shard."""
    number = work.numbers.get(shard, 0)
    is_foreign = shard in work.foreign
    # Its cuts are not those of the book, whatever their numbers: all that it has is looked at.
    unbooked = await store.unbooked(shard, 0 if is_foreign else number)
    if shard not in work.in_use and not unbooked and not is_foreign:
        await store.rebuild(shard, ShardState(booked_number=number), epoch)
        return
    state = await book.run(lambda book: _shard_state(book, work, shard, unbooked, mark))
    await store.rebuild(shard, state, epoch)
    work.pending_ticks += _total(state.pending)
    work.dropped_ticks += state.newly_forgiven


def _is_foreign(mark: ShardMark, number: int, epochs: set[str]) -> bool:
    """Return whether a shard went on with another book than this one."""
    if mark.booked_number > number:
        return True
    is_unknown = mark.epoch != "" and mark.epoch not in epochs
    return is_unknown and (mark.metered > 0 or mark.forgiven is not None)


def _replay_from_ms(last_cut_ms: int | None, policy: RecoveryPolicy) -> int:
    """Return since when HTTP processes must offer again: what no booked cut can have missed.

    Offering too much is harmless (a union), so without a cut it is everything they remember.
    """
    if last_cut_ms is None:
        return 0
    return max(0, last_cut_ms - FSYNC_BOUND_MS - policy.cut_period_s * 1000)


def _shard_state(
    book: Book,
    work: _Work,
    shard: int,
    unbooked: tuple[CutLine, ...],
    mark: ShardMark | None,
) -> ShardState:
    """Return what a shard must hold; what is to be forgiven is noted in the book before."""
    entries = book.cuts.entries(shard)
    counts = {entry.key: entry.booked for entry in entries}
    funds = book.escrow.funds_of_shard(shard)
    overlay = work.overlay
    cursor = book.escrow.cursor()
    if overlay is not None and (cursor is None or overlay.base.number != cursor.number):
        # The book has gone on since: what was provisional may be in it. It is written again soon.
        overlay = None
    oldest = min([work.oldest] + [run.first for line in unbooked for run in line.runs])
    booked = book.cuts.booked_ticks(shard, oldest)
    fresh = less_booked(unbooked, booked, counts)
    pending = tuple(
        line
        for line in fresh
        if line.key.account in funds and (line.key.stream, line.key.version) in work.prices
    )
    dropped = [line for line in fresh if line not in pending]
    if dropped:
        book.unbilled.add(
            UnbilledTicks(line.key.account, line.key.stream, line.runs) for line in dropped
        )
    floor = _floor(work, shard, mark, sum(counts.values()) + _total(fresh))
    if floor is not None:
        book.unbilled.add_floor(floor)
        work.floors.append(floor)
    return ShardState(
        balances=balance_states(
            funds,
            provisional=overlay.provisional if overlay else {},
            frozen=overlay.frozen if overlay else {},
            quantum=book.asset.quantum,
            limits=(work.policy.stream_limit_units, work.policy.day_limit_units),
            entries=entries,
            booked=booked,
            pending=pending,
            now_tick=work.now_ms // 1000,
            prices=work.prices,
        ),
        watched=watched_states(
            [(line.key.account, line.key.stream, line.runs) for line in booked]
            + [
                (line.account, line.stream, line.runs)
                for line in book.unbilled.of_shard(shard, oldest)
            ]
        ),
        pending=pending,
        cumulative=tuple(counts.items()),
        booked_number=work.numbers.get(shard, 0),
        sessions=tuple(_grant(session, work.policy) for session in work.live.get(shard, ())),
        ended=tuple(
            EndedSession(
                _grant(session, work.policy),
                session.reason or "expired",
                session.expires_ms if session.ended_ms is None else session.ended_ms,
            )
            for session in work.ended.get(shard, ())
        ),
        forgiven=forgiven_range(book.unbilled.forgiven(shard, work.oldest), mark, work.oldest),
        newly_forgiven=_total(dropped),
        joins=_joins(book, work, shard, entries, pending),
    )


def _joins(
    book: Book,
    work: _Work,
    shard: int,
    entries: Sequence[EntryRecord],
    pending: Sequence[CutLine],
) -> tuple[JoinState, ...]:
    """Return the joins of a shard for which claims or evidence may still come."""
    if work.limits is None:
        return ()
    streams = {stream for stream, _ in work.prices}
    known = book.joins.of_shard(shard, work.chain_s - work.limits.notice_s)
    joins = [
        join
        for join in overlaid(known, work.overlay.joins if work.overlay else ())
        if shard_of(join.account) == shard and join.stream in streams
    ]
    return join_states(
        joins,
        limits=work.limits,
        quantum=book.asset.quantum,
        skew_s=work.overlay.skew_s if work.overlay else 0,
        entries=entries,
        pending=pending,
        prices=work.prices,
    )


def _floor(work: _Work, shard: int, mark: ShardMark | None, known_ticks: int) -> Floor | None:
    """Return the floor of a shard, None when it goes on with its own book."""
    if mark is None or shard not in work.foreign:
        return None
    lost = max(0, mark.metered - known_ticks)
    return Floor(shard, mark.epoch, work.forgiven, work.now_ms, lost)


def _total(lines: Iterable[CutLine]) -> int:
    return sum(ticks.count(line.runs) for line in lines)


def _grant(session: SessionRecord, policy: RecoveryPolicy) -> SessionGrant:
    return SessionGrant(
        session.account,
        session.stream.bytes,
        session.session,
        session.join,
        policy.session_limit_units,
        session.expires_ms,
        is_capped=policy.has_joins,
    )


def _by_shard(sessions: Iterable[SessionRecord]) -> dict[int, list[SessionRecord]]:
    by_shard: dict[int, list[SessionRecord]] = defaultdict(list)
    for session in sessions:
        by_shard[shard_of(session.account)].append(session)
    return by_shard
