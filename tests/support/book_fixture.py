"""A book with a stream and viewers, in memory or in a file: one call, sensible defaults."""

from __future__ import annotations

import functools
import sqlite3
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from metering import signing
from metering.book import engine
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.joins import take_joins
from metering.book.records import StreamRecord
from metering.model.escrow_events import EventBlock, PalletEvent, join_events
from metering.units import AccountId, Asset, EntryKey, Planck
from tests.support.clock import FakeClock

T = TypeVar("T")
OPERATOR = signing.from_seed(b"operator".ljust(32, b"."))
PRICE = Planck(10**8)


@dataclass
class BookFixture:
    """A book, one stream and some viewers."""

    book: Book
    stream: StreamRecord
    accounts: list[AccountId]
    clock: FakeClock = field(default_factory=FakeClock)

    def key(self, viewer: int = 0, join: int = 1, version: int = 1) -> EntryKey:
        return EntryKey(self.stream.id, self.accounts[viewer], join, version)


def make_book(
    url: str = "sqlite://",
    viewers: int = 1,
    fee_ppm: int = 100_000,
    price: Planck = PRICE,
    deposit: int = 10**12,
) -> BookFixture:
    """Return a new book at `url` with a stream and viewers who paid in 10**12 planck each."""
    book = _open(url)
    stream, _ = book.streams.create("talks", "Talks", price, 1, fee_ppm)
    accounts = []
    for number in range(viewers):
        account = signing.from_seed(f"viewer {number}".encode().ljust(32, b".")).account
        book.viewers.create(f"viewer {number}", account, 1)
        book.deposits.add(account, Planck(deposit), f"top-up {number}", "", 1)
        accounts.append(account)
    return BookFixture(book, stream, accounts)


def open_book(url: str, asset: Asset | None = None) -> Book:
    """Return the book at `url`; it is closed when nothing holds it any more."""
    return _closed_at_last(Book.open(url, asset or Asset()))


def _closed_at_last(book: Book) -> Book:
    # From Python 3.13 on a connection that only the garbage collection closes is a warning.
    weakref.finalize(book, book._engine.dispose)
    return book


def _open(url: str) -> Book:
    """Return a new book. Its schema is copied: the migrations take a tenth of a second."""
    if url == "sqlite://":
        memory = engine._create(url)
        connection = memory.raw_connection()
        database = connection.driver_connection
        assert isinstance(database, sqlite3.Connection)
        database.deserialize(_empty_book())
        connection.close()
        return _closed_at_last(Book(memory, Asset()))
    path = Path(url.removeprefix("sqlite:///"))
    if url.startswith("sqlite:///") and not path.exists():
        path.write_bytes(_empty_book())
    return open_book(url)


@functools.cache
def _empty_book() -> bytes:
    """Return the file of a book that nothing was written to."""
    memory = engine.open_engine("sqlite://")
    connection = memory.raw_connection()
    database = connection.driver_connection
    assert isinstance(database, sqlite3.Connection)
    made = database.serialize()
    connection.close()
    memory.dispose()
    return made


def know_joins(fixture: BookFixture) -> None:
    """Let the book know join 1 of every viewer, as if it had read the chain's events."""
    now_s = fixture.clock.wall_ms // 1000
    terms = {"join": 1, "max_spend": 10**14, "max_price": PRICE, "expires_at": now_s + 30 * 86400}
    joined = tuple(
        PalletEvent(
            place, "SessionOpened", {"stream_id": fixture.stream.id.int, "viewer": who, **terms}
        )
        for place, who in enumerate(fixture.accounts)
    )
    with fixture.book.streams._writing() as connection:
        take_joins(connection, join_events(EventBlock(1, b"1", b"0", now_s, joined)))


class InlineBook(AsyncBook):
    """An `AsyncBook` without a thread: each call runs where it is made."""

    async def run(self, work: Callable[[Book], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        return work(self._book)
