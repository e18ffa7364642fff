"""Takes pending ticks out of Redis by number and into the book, round after round.

A round: ask every dirty shard for its next cut, write them all in one transaction of the book, off
the event loop. A crash in between repeats the same numbers with the same answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from metering.book.async_book import AsyncBook
from metering.book.records import Counters
from metering.book.usage import FORGET_MAX, oldest_hour
from metering.errors import MeteringError, StoreUnavailableError
from metering.log_throttle import LogThrottle
from metering.settlement.unbilled import UnbilledStore, counters_of, keep_unbilled
from metering.store.records import StoreTotals
from metering.units import Cut

_AT_ONCE: Final = 16
"""Cuts asked for at a time: keeps Redis busy without filling the store's connections."""
_LOAD_FACTOR: Final = 4
"""A round may take a quarter of the time between rounds; then the period grows."""

_log = structlog.get_logger(room="metering")


class CutStore(UnbilledStore, Protocol):
    """What the cutter needs of `metering.store.client.Store`."""

    run_id: str

    async def epoch(self) -> str | None:
        """Return the epoch of all shards, None when it must be rebuilt."""

    async def dirty_shards(self) -> list[int]:
        """Return the shards with something pending or not booked."""

    async def cut(self, shard: int, number: int, booked_number: int) -> Cut | None:
        """Return cut `number`, the same each time; None when nothing is pending."""

    async def forget(self, shard: int, up_to_number: int) -> None:
        """Drop the cuts whose batch is final."""

    async def totals(self) -> StoreTotals:
        """Return the counts over all shards."""


@dataclass(frozen=True, slots=True)
class CutRound:
    """What one round took."""

    cuts: int
    lines: int
    ticks: int


class Cutter:
    """Books pending ticks each `cut_period_s`; longer when a round takes long.

    Attributes:
        counters: Ticks beside the bill, as the book has them; None before the first round.
    """

    def __init__(
        self,
        store: CutStore,
        book: AsyncBook,
        now_ms: Callable[[], int],
        period_s: float,
        minutes_kept_days: int = 400,
    ) -> None:
        self._store = store
        self._book = book
        self._now_ms = now_ms
        self._period_s = period_s
        self.counters: Counters | None = None
        self._counted: tuple[Counters, int] | None = None
        self._minutes_kept_days = minutes_kept_days
        self._is_rolled = False
        self._forgot_hour = 0

    async def run(self) -> None:
        """Make rounds until cancelled. A failure is logged and the round repeated later."""
        throttle = LogThrottle()
        while True:
            began = time.monotonic()
            try:
                await self.round()
                throttle.succeeded()
            except MeteringError as error:
                count = throttle.failed(str(error))
                if count == 1:
                    _log.warning("metering.cut.failed", error=str(error))
                elif count:
                    _log.error("metering.cut.stuck", error=str(error), times=count)
            took = time.monotonic() - began
            await asyncio.sleep(max(self._period_s - took, took * (_LOAD_FACTOR - 1)))

    async def round(self) -> CutRound:
        """Make one round; return what it took.

        Raises:
            StoreUnavailableError: Redis is away, or is not the one that was last recovered.
            LedgerImbalanceError: A shard does not continue where the book is: recover it.
            BookError: The book does not answer. Nothing is lost: the same cuts are asked again.
        """
        await self._require_recovered()
        await self.forget_final()
        dirty = await self._store.dirty_shards()
        numbers = await self._book.run(lambda book: book.cuts.booked_numbers()) if dirty else {}
        cuts: list[Cut] = []
        for start in range(0, len(dirty), _AT_ONCE):
            answers = await asyncio.gather(
                *(
                    self._store.cut(shard, numbers.get(shard, 0) + 1, numbers.get(shard, 0))
                    for shard in dirty[start : start + _AT_ONCE]
                )
            )
            cuts += [cut for cut in answers if cut is not None]
        await self._keep_counters()
        if not cuts:
            if not self._is_rolled:
                await self._roll()
            return CutRound(0, 0, 0)
        now_ms = self._now_ms()
        new_ticks = await self._book.run(lambda book: book.cuts.book(cuts, now_ms))
        done = CutRound(len(cuts), sum(len(cut.lines) for cut in cuts), new_ticks)
        _log.info("metering.flush.done", cuts=done.cuts, lines=done.lines, ticks=done.ticks)
        await self._roll()
        return done

    async def _roll(self) -> None:
        """Bring the minutes up to the cuts; once an hour, forget those that are too old.

        In half of a period: of a book that was brought up from an older program more may be left.
        """
        until = time.monotonic() + self._period_s / 2
        self._is_rolled = False
        while not self._is_rolled and time.monotonic() < until:
            self._is_rolled = (await self._book.run(lambda book: book.usage.roll())).is_all
        oldest = oldest_hour(self._now_ms(), self._minutes_kept_days)
        if oldest != self._forgot_hour:
            forgot = await self._book.run(lambda book: book.usage.forget(oldest))
            self._forgot_hour = oldest if forgot < FORGET_MAX else 0

    async def forget_final(self) -> int:
        """Let Redis forget the cuts whose batch is final; return how many shards had any."""
        final = await self._book.run(lambda book: book.cuts.to_forget())
        for shard, number in final.items():
            await self._store.forget(shard, number)
        if final:
            await self._book.run(lambda book: book.cuts.mark_forgotten(final))
        return len(final)

    async def _keep_counters(self) -> None:
        """Keep what the store counts beside the bill, and those ticks, when it changed.

        Before the cuts are booked: the book knows of a show before it has a second of it.
        """
        totals = await self._store.totals()
        counted = counters_of(totals)
        if (counted, totals.shows) != self._counted:
            await keep_unbilled(self._store, self._book)
            await self._book.run(lambda book: book.unbilled.put_counters(counted))
            self.counters = await self._book.run(lambda book: book.unbilled.counters())
            self._counted = counted, totals.shows

    async def _require_recovered(self) -> None:
        """Raise unless Redis is the one that the book last recovered."""
        ours = await self._book.run(lambda book: book.recoveries.newest())
        epoch = await self._store.epoch()
        if ours is None or (ours.epoch, ours.run_id) != (epoch, self._store.run_id):
            raise StoreUnavailableError(
                f"Redis run {self._store.run_id} with epoch {epoch} has not been recovered"
            )
