"""One submitter per operator key: a lease in Redis, and its fencing token for the book.

Two settlers that sign with one key is the usual cause of nonces taken twice. The pallet's sequence
keeps such a pair from charging twice; the submitter lease keeps them from being a pair. Every write
to the outbox names the token, and the book refuses an older one (book/outbox.py): so a submitter
that slept longer than the lease in Redis changes nothing when it wakes.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import Final, Protocol

from metering.book.async_book import AsyncBook
from metering.errors import StoreUnavailableError, SubmitterLostError
from metering.store.client import Store
from metering.units import AccountId, account_text

TTL_MS: Final = 15_000
"""Renewed with each turn, once a second; a turn against a slow node takes several."""


class SubmitterLease(Protocol):
    """The right to submit with the operator's key: one holder at a time."""

    async def hold(self) -> int:
        """Take or renew it; return its fencing token, higher than every earlier holder's.

        Raises:
            SubmitterLostError: Another holds it.
            StoreUnavailableError: It is not known.
        """


class NoSubmitterLease:
    """For a back end that no other process can reach, as the journal in our own book."""

    async def hold(self) -> int:
        """Return token 0."""
        return 0


class RedisSubmitterLease:
    """A `SubmitterLease` in Redis.

    Args:
        ttl_ms: How long it holds without being renewed.
    """

    def __init__(
        self,
        store: Store,
        book: AsyncBook,
        operator: AccountId,
        ttl_ms: int = TTL_MS,
    ) -> None:
        self._store = store
        self._book = book
        self._operator = operator
        self._ttl_ms = ttl_ms
        self._holder = secrets.token_hex(8)
        self._known: int | None = None

    async def hold(self) -> int:
        """Take or renew it; return its fencing token.

        Raises:
            SubmitterLostError: Another settler holds it.
            StoreUnavailableError: Redis does not answer.
            BookError: The book does not answer.
        """
        if self._known is None:
            self._known = await self._book.run(lambda book: book.outbox.submitter_token())
        token = await self._store.lease(self._operator, self._holder, self._ttl_ms, self._known)
        if not token:
            self._known = None
            raise SubmitterLostError(
                f"another settler holds the key of operator {account_text(self._operator)}: this "
                "one settles when it is given back, or 15 s after that one ends; two servers must "
                "not share one key"
            )
        self._known = token
        return token

    async def give_back(self) -> None:
        """Let another take it at once, when it is ours and Redis answers."""
        with contextlib.suppress(StoreUnavailableError):
            await self._store.lease(self._operator, self._holder, 0, 0)
