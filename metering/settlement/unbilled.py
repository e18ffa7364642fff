"""Brings ticks that are watched and never billed from the store into the book.

They are watched in the store only, and a rebuild derives what is watched from the book: without
this, evidence that comes again after a rebuild would bill them.

Source: docs/metering.md, "Claims".
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from metering.book.async_book import AsyncBook
from metering.book.records import UnbilledTicks
from metering.store.records import Unbilled


class UnbilledStore(Protocol):
    """What is needed of `metering.store.client.Store`."""

    async def unbilled(self) -> list[Unbilled]:
        """Return what is watched and never billed, as far as it was not forgotten."""

    async def forget_unbilled(self, unbilled: Unbilled) -> None:
        """Drop what the book has; what was added since is kept."""


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
    await book.run(lambda book: book.unbilled.add(rows))
    for shard in unbilled:
        await store.forget_unbilled(shard)
