"""What the handlers of the API share: collaborators, handed in by control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from aiohttp import web

from mediaserver.clock import Clock
from mediaserver.settings_tree import Settings
from metering.book.book import Book
from metering.keys import KeyPair
from metering.store.redis import Store
from metering.units import AccountId

T = TypeVar("T")


class BookCalls(Protocol):
    """Runs work on the book in its one thread."""

    async def call(self, work: Callable[[Book], T]) -> T:
        """Return what `work` returns, or raise what it raises."""


@dataclass(frozen=True, slots=True)
class Context:
    """Collaborators of the handlers.

    Attributes:
        settings: The whole tree.
        clock: For times of rows and tokens.
        book: The book of record.
        store: Lends the store, which is not rebuilt meanwhile; raises StoreUnavailableError while
            it is not recovered.
        apply_deposits: Tells a lent store what an account paid in.
        apply_later: Remembers an account whose deposits the store has not been told of.
        token_keys: Keys of viewers' tokens, the one that signs first.
        admin_token: Bearer of the admin API.
        operator: Signs receipts.
        newest_tick: Newest planned tick of a stream: no price may start before it.
        health: What is known of a stream's publisher, as JSON.
        workers: All workers, as JSON.
        changed: Called after a change that HTTP processes must know.
        reconcile: Compares store, book and ledger; returns the report as JSON.
    """

    settings: Settings
    clock: Clock
    book: BookCalls
    store: Callable[[], AbstractAsyncContextManager[Store]]
    apply_deposits: Callable[[Store, AccountId], Awaitable[None]]
    apply_later: Callable[[AccountId], None]
    token_keys: Sequence[tuple[int, bytes]]
    admin_token: str
    operator: KeyPair
    newest_tick: Callable[[UUID], Awaitable[int]]
    health: Callable[[UUID], dict[str, Any]]
    workers: Callable[[], list[dict[str, Any]]]
    changed: Callable[[], None]
    reconcile: Callable[[], Awaitable[dict[str, Any]]]


CONTEXT: Final = web.AppKey("context", Context)


def of(request: web.Request) -> Context:
    """Return the context of the application that a request came to."""
    return request.app[CONTEXT]
