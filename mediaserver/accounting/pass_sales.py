"""Passes are sold: the store takes the price and lets it cover in one step, then it is posted.

The book knows of it before the store does. So whatever ends this half-way, a pass that the store
has is posted, and one that it has not is gone: whole or absent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.errors import MeteringError
from metering.model.passes import Pass, packed
from metering.units import AccountId, Units, Verdict

Ask = Callable[[], Awaitable[Pass]]
Pay = Callable[[Pass], Awaitable[Pass]]
Limits = tuple[Units, Units]
"""What one stream, and one day, may take; 0 for no limit."""
Sale = tuple[Pass | None, Verdict, Units]
"""The pass, None where it was refused; why; the balance where it was refused."""


class PassStore(Protocol):
    """What this needs of `metering.store.client.Store`."""

    async def buy_pass(
        self, item: Pass, units: Units, limits: Limits, passes: bytes
    ) -> tuple[Verdict, Units]:
        """Take the price and let the pass cover, or nothing."""

    async def has_pass(self, item: Pass) -> bool:
        """Return whether the price was taken."""

    async def set_passes(self, account: AccountId, passes: bytes) -> None:
        """Set all passes of an account."""


async def sell(  # noqa: PLR0917 -- what, to whom and where
    store: PassStore,
    book: AsyncBook,
    account: AccountId,
    ask: Ask,
    pay: Pay,
    limits: Limits,
    later: Callable[[AccountId], None],
    oldest: int = 0,
) -> Sale:
    """Sell a pass; the caller lets nobody else change the account in the store meanwhile.

    Args:
        ask: Writes the pass into the book as one that is not paid; one that is paid was sold
            before.
        pay: Posts it.
        later: Called with the account when it is to be settled again.
        oldest: Oldest second that may still be claimed; what ended before is left out of the store.

    Raises:
        StoreUnavailableError: Not known whether it was sold; the same may be asked for again.
    """
    await settle(store, book, account, oldest)
    asked = await ask()
    if asked.is_paid:
        return asked, Verdict.GRANTED, Units(0)
    units = Units(asked.planck // book.asset.quantum)
    passes = await _packed_of(book, account, oldest, asked.id)
    try:
        verdict, balance = await store.buy_pass(asked, units, limits, passes)
        if verdict is not Verdict.GRANTED:
            await book.run(lambda book: book.passes.drop(asked.id))
            return None, verdict, balance
        return await pay(asked), verdict, balance
    except MeteringError:
        later(account)  # it may have been taken
        raise


async def settle(store: PassStore, book: AsyncBook, account: AccountId, oldest: int = 0) -> None:
    """Post or forget what was asked for, and let the store have the passes of the book."""
    passes = await book.run(lambda book: book.passes.of_account(account))
    if not passes:
        return
    await _decide(store, book, [item for item in passes if not item.is_paid])
    await store.set_passes(account, await _packed_of(book, account, oldest))


async def _packed_of(
    book: AsyncBook, account: AccountId, oldest: int, asked: str | None = None
) -> bytes:
    """Return what the store is to have of an account: what was paid, and the one asked for."""

    def read(book: Book) -> bytes:
        held = [
            item for item in book.passes.of_account(account) if item.is_paid or item.id == asked
        ]
        return packed(held, oldest, book.passes.last_shows(held, oldest))

    return await book.run(read)


async def settle_all(store: PassStore, book: AsyncBook) -> None:
    """Post or forget all that was asked for, while no claims pass: before a store is rebuilt."""
    await _decide(store, book, await book.run(lambda book: book.passes.asked()))


async def _decide(store: PassStore, book: AsyncBook, asked: list[Pass]) -> None:
    for item in asked:
        is_taken = await store.has_pass(item)
        await book.run(partial(_end, item=item, is_taken=is_taken))


def _end(book: Book, *, item: Pass, is_taken: bool) -> None:
    if is_taken:
        book.passes.pay(item.id, item.created_ms)
    else:
        book.passes.drop(item.id)
