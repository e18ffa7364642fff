"""The book for asynchronous code: every call runs in one thread, so SQL never blocks the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from metering.book.book import Book
from metering.book.touched import Touched
from metering.errors import BookError
from metering.units import Asset

T = TypeVar("T")


class AsyncBook:
    """Owns a book and its thread; calls run one after another, in the order they were made.

    A call that is under way when its caller is cancelled ends.

    Attributes:
        failed: Set when the database did not answer a call, or refused to write.
        failure: Its reason, of the newest such call.
    """

    def __init__(self, book: Book) -> None:
        self.failed = asyncio.Event()
        self.failure = ""
        self._book = book
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="book")

    @classmethod
    async def open(cls, url: str, asset: Asset) -> AsyncBook:
        """Open the book at a database URL; see `Book.open`.

        Raises:
            BookError: If it cannot be opened, or was written by a newer program; says what to do.
        """
        return cls(await asyncio.to_thread(Book.open, url, asset))

    @property
    def asset(self) -> Asset:
        """Return what everything is paid in."""
        return self._book.asset

    @property
    def changes(self) -> int | None:
        """Return `Book.changes`; a later call of `run` sees all that it counts."""
        return self._book.changes

    @property
    def touched(self) -> Touched:
        """Return `Book.touched`; a later call of `run` sees all that it has."""
        return self._book.touched

    async def run(self, work: Callable[[Book], T]) -> T:
        """Return what `work` returns, or raise what it raises.

        Each repository method that it calls is a transaction of its own.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, self._book)
        except BookError as error:
            self.failure = str(error)
            self.failed.set()
            raise

    async def view(self, work: Callable[[Book], T]) -> T:
        """Return what `work` reads of what is committed, in another thread than `run`'s.

        For what takes long: calls of `run` need not wait for it.
        """
        return await asyncio.to_thread(work, self._book)

    async def close(self) -> None:
        """Close the book after the calls under way, and end the thread."""
        await self.run(Book.close)
        self._pool.shutdown(wait=True)
