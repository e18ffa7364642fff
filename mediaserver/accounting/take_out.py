"""Money out: taken from the store before the book has it, so that nobody spends it meanwhile.

The book is what counts: whatever ends this half-way, what the store has is set to the book's sum.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from metering.book.async_book import AsyncBook
from metering.errors import MeteringError, NotEnoughError
from metering.units import AccountId, Planck, Units

T = TypeVar("T")


class WithdrawStore(Protocol):
    """What this needs of `metering.store.client.Store`."""

    async def withdraw(self, account: AccountId, units: Units) -> tuple[bool, Units]:
        """Take an amount out of a balance, or nothing."""

    async def set_deposits(self, account: AccountId, total_units: Units) -> Units:
        """Set the sum of all that came in and stayed."""


async def take_out(  # noqa: PLR0917 -- what and where from
    store: WithdrawStore,
    book: AsyncBook,
    account: AccountId,
    planck: Planck,
    post: Callable[[], Awaitable[T]],
    later: Callable[[AccountId], None],
) -> T:
    """Return what `post` returns, which books that `planck` left; nobody has it meanwhile.

    The caller lets nobody else set the account's deposits meanwhile.

    Args:
        planck: Whole units.
        later: Called with the account when its deposits are to be written again.

    Raises:
        NotEnoughError: The balance is lower; nothing was done.
        StoreUnavailableError: The store does not answer; nothing was done.
    """
    quantum = book.asset.quantum
    try:
        is_taken, left = await store.withdraw(account, Units(planck // quantum))
    except MeteringError:
        later(account)  # it may have been taken
        raise
    if not is_taken:
        raise NotEnoughError(left * quantum, planck)
    try:
        return await post()
    finally:
        try:
            total = await book.run(lambda book: book.deposits.total(account))
            await store.set_deposits(account, Units(total // quantum))
        except MeteringError:
            later(account)
