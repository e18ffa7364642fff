"""Brings ticks that are watched and never billed, and their counts, from the store into the book.

They are watched in the store only, and a rebuild derives what is watched from the book: without
this, evidence that comes again after a rebuild would bill them. With them come the shows of which
is counted what they cost.

Source: docs/metering.md, "Claims".
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.records import Counters, CoveredTicks, UnbilledTicks
from metering.store.records import StoreTotals, Unbilled


class UnbilledStore(Protocol):
    """What is needed of `metering.store.client.Store`."""

    async def unbilled(self) -> list[Unbilled]:
        """Return what is watched and never billed, as far as it was not forgotten."""

    async def forget_unbilled(self, unbilled: Unbilled) -> None:
        """Drop what the book has; what was added since is kept."""


class CarryStore(Protocol):
    """What is needed of it in a recovery."""

    async def totals(self) -> StoreTotals:
        """Return the counts over all shards."""

    async def carry(self, *, unpaid: int, forgiven: int, late: int, covered: int) -> None:
        """Count so many ticks more."""


async def keep_unbilled(store: UnbilledStore, book: AsyncBook) -> None:
    """Write them into the book, then let the store forget them. Repeating it is harmless.

    Raises:
        StoreUnavailableError: Redis does not answer.
        BookError: The book does not answer. Nothing is lost.
    """
    unbilled = await store.unbilled()
    if not unbilled:
        return
    rows = [
        UnbilledTicks(tick.account, UUID(bytes=tick.stream), tick.runs)
        for shard in unbilled
        for tick in shard.ticks
    ]
    covered = [
        CoveredTicks(tick.account, UUID(bytes=tick.stream), tick.show, tick.runs, tick.cause)
        for shard in unbilled
        for tick in shard.covered
    ]

    shows = [(UUID(bytes=stream), show) for shard in unbilled for stream, show in shard.shows]

    def add(book: Book) -> None:
        book.show_caps.add_shows(shows)
        book.unbilled.add(rows)
        book.covered.add(covered)

    await book.run(add)
    for shard in unbilled:
        await store.forget_unbilled(shard)


async def carry_counters(store: CarryStore, book: AsyncBook) -> None:
    """Let the store count on from what the book has, where it was emptied or went back.

    While no claim passes. Of a broken-off call the next one does the rest.
    """
    counted = counters_of(await store.totals())
    missing = await book.run(lambda book: book.unbilled.carry_counters(counted))
    await store.carry(
        unpaid=missing.unpaid_ticks,
        forgiven=missing.forgiven_ticks,
        late=missing.late_ticks,
        covered=missing.covered_ticks,
    )


def counters_of(totals: StoreTotals) -> Counters:
    """Return what is counted beside the bill."""
    return Counters(
        totals.unpaid_ticks, totals.forgiven_ticks, totals.late_ticks, totals.covered_ticks
    )
