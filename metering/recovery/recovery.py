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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol
from uuid import UUID

import structlog

from metering.book.async_book import AsyncBook
from metering.book.records import Floor, Recovered, SessionRecord
from metering.model.escrow_overlay import Overlay
from metering.recovery.shard_state import RecoveryPolicy, RecoveryWork, shard_state, total
from metering.settlement.unbilled import (
    CarryStore,
    UnbilledStore,
    carry_counters,
    keep_unbilled,
)
from metering.store.records import ShardMark, ShardState
from metering.units import SHARDS, CutLine, Run, shard_of

FSYNC_BOUND_MS: Final = 2000
"""What ``appendfsync everysec`` may lose: each second is written, a slow disk doubles it."""
ENDED_KEPT_MS: Final = 3_600_000
"""Evidence for a session that ended so long ago is still billed after a rebuild."""

_log = structlog.get_logger(room="metering")


class RecoverStore(UnbilledStore, CarryStore, Protocol):
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
class Recovery:
    """What was done.

    Attributes:
        epoch: The name of what Redis holds now.
        replay_from_ms: HTTP processes offer, as evidence, what they committed since then.
        pending_ticks: Ticks that Redis had and the book had not: none of them is lost.
        is_new: False when Redis was already the one last recovered, and nothing was changed.
        floors: Shards for which the book was found to be an older one, restored: by this recovery
            or by one before it that broke off.
    """

    epoch: str
    replay_from_ms: int
    pending_ticks: int
    is_new: bool
    floors: tuple[Floor, ...] = ()


async def recover(
    store: RecoverStore,
    book: AsyncBook,
    now_ms: int,
    policy: RecoveryPolicy,
    *,
    newest_ticks: Mapping[UUID, int] = MappingProxyType({}),
    overlay: Overlay | None = None,
) -> Recovery:
    """Rebuild Redis from the book, unless it is the one that was last recovered.

    Args:
        newest_ticks: Newest second that each stream planned: matters after a restored book.
        overlay: The chain's blocks after the finalized one, when they are known.

    Raises:
        StoreUnavailableError: Redis went away meanwhile: recover again.
        BookError: The book does not answer: recover again.
    """
    # Is it the Redis that was last recovered, and does every shard go with this book?
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

    # From here on no claim passes, so that what is read of the shards stays as it is.
    await store.void()
    await keep_unbilled(store, book)
    await carry_counters(store, book)

    # What a recovery that broke off has found is told with this one's, as one restored book.
    told_ms = -1 if ours is None else min(ours.at_ms, now_ms - 1)
    untold = await book.run(lambda book: book.unbilled.floors(told_ms))

    # A foreign shard forgives the seconds from a window before what the last booked cut may have
    # missed to the clock, or to the newest that the stream itself planned: one whose time ran ahead
    # makes no other stream free.
    first = max(0, (replay_from_ms - policy.window_ms) // 1000)
    stop = now_ms // 1000 + 1
    ends = {stream: tick + 1 for stream, tick in newest_ticks.items() if tick >= stop}
    if foreign and ends:
        await book.run(lambda book: book.unbilled.add_stream_floors(ends))
    ended_ms = max(0, min(replay_from_ms or now_ms, now_ms - ENDED_KEPT_MS))
    work = RecoveryWork(
        now_ms,
        policy,
        untold[0].found_ms if untold else now_ms,
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

    # The book knows the new epoch before any shard has it: after a crash in the middle, the
    # shards that are rebuilt are not taken for those of another book.
    marks = await store.marks()
    new_epoch = secrets.token_hex(8)
    await book.run(lambda book: book.recoveries.add_epoch(new_epoch, now_ms))
    for shard in range(SHARDS):
        await _rebuild(store, book, work, shard, marks.get(shard), new_epoch)

    # Only now is this the Redis last recovered: a recovery that broke off begins again.
    done = Recovered(new_epoch, store.run_id, now_ms)
    await book.run(lambda book: book.recoveries.put(done))
    if epochs or marks:
        _log.warning("metering.store.recovered", epoch=new_epoch, pending_ticks=work.pending_ticks)
    else:
        _log.info("metering.store.prepared", epoch=new_epoch)  # a first start: nothing was lost
    floors = await book.run(lambda book: book.unbilled.floors(told_ms))
    if floors or work.dropped_ticks:
        _log.error(
            "metering.book.restored",
            shards=len(floors),
            forgiven_from=first,
            forgiven_to=stop,
            lost_ticks=sum(floor.lost_ticks for floor in floors),
            dropped_ticks=work.dropped_ticks,
        )
    return Recovery(
        new_epoch, replay_from_ms, work.pending_ticks, is_new=True, floors=tuple(floors)
    )


async def _rebuild(  # noqa: PLR0917 -- one step of `recover`, with what it holds
    store: RecoverStore,
    book: AsyncBook,
    work: RecoveryWork,
    shard: int,
    mark: ShardMark | None,
    epoch: str,
) -> None:
    """Rebuild one shard."""
    number = work.numbers.get(shard, 0)
    is_foreign = shard in work.foreign
    # Its cuts are not those of the book, whatever their numbers: everything it has is read.
    unbooked = await store.unbooked(shard, 0 if is_foreign else number)
    if shard not in work.in_use and not unbooked and not is_foreign:
        await store.rebuild(shard, ShardState(booked_number=number), epoch)
        return
    state = await book.run(lambda book: shard_state(book, work, shard, unbooked, mark))
    await store.rebuild(shard, state, epoch)
    work.pending_ticks += total(state.pending)
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


def _by_shard(sessions: Iterable[SessionRecord]) -> dict[int, list[SessionRecord]]:
    by_shard: dict[int, list[SessionRecord]] = defaultdict(list)
    for session in sessions:
        by_shard[shard_of(session.account)].append(session)
    return by_shard
