"""What control does with people: its tables read and written in the book's thread."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from mediaserver.people import audit
from mediaserver.people.challenges import Challenges
from mediaserver.people.per_hour import (
    LETTERS_PER_ADDRESS_MAX,
    REFUSALS_MAX,
    REFUSALS_PER_ADDRESS_MAX,
    EntriesPerHour,
    PerHour,
)
from mediaserver.people.tables import TABLES
from metering.book.async_book import AsyncBook
from metering.book.book import Book

__all__ = ("Connection", "People")

T = TypeVar("T")


class People:
    """The tables of people, in the book's database, and the challenges under way.

    Attributes:
        challenges: Those under way.
        sign_ups: People made.
        letters: Letters asked for.
        entries: What people did that the audit log has; counted in the book's thread.
        refusals: Ways in that were wrong and are in the audit log.
        refusals_left_out: Those that are not, since the newest that is.
    """

    def __init__(self, book: AsyncBook) -> None:
        self.challenges = Challenges()
        self.sign_ups = PerHour()
        self.letters = PerHour(LETTERS_PER_ADDRESS_MAX)
        self.entries = EntriesPerHour()
        self.refusals = PerHour(REFUSALS_PER_ADDRESS_MAX, REFUSALS_MAX)
        self.refusals_left_out = 0
        self._verifying = asyncio.Lock()
        self._book = book

    async def open(self) -> None:
        """Make the tables, or change those of an older program.

        Raises:
            BookError: They were written by a newer program, or the database does not answer.
        """
        await self._book.run(TABLES.bring_up)

    async def load(self, *libraries: str) -> None:
        """Import what a way in needs, when it is first used: some take half a second.

        Most servers have nobody sign in for hours, and hold 20 MB less meanwhile.
        """
        missing = [name for name in libraries if name not in sys.modules]
        if missing:
            await asyncio.to_thread(lambda: [importlib.import_module(name) for name in missing])

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads in one consistent view."""
        return await self._book.run(partial(_viewed, work))

    async def verify(self) -> str:
        """Return what is wrong with the audit log, or nothing when it is whole.

        Read a page at a time, beside the book's thread: it may be long, and others wait for that.
        """
        link: audit.Link | None = audit.FIRST
        fault = ""
        async with self._verifying:
            while link is not None:
                fault, link = await self._book.view(
                    partial(_viewed, partial(audit.verify, link=link))
                )
        return fault

    async def write(self, work: Callable[[Book, Connection], T]) -> T:
        """Return what `work` returns; what it writes, the book's too, is one transaction."""

        def run(book: Book) -> T:
            with book.together() as connection:
                return work(book, connection)

        return await self._book.run(run)


def _viewed(work: Callable[[Connection], T], book: Book) -> T:
    with book.viewing() as connection:
        return work(connection)
