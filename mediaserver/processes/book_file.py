"""The book's file: where it is, its schema brought up, what it has from before."""

from __future__ import annotations

import os
from typing import Final

from mediaserver import log
from mediaserver.payments.tables import TABLES as PAYMENTS
from mediaserver.people.tables import TABLES as PEOPLE
from mediaserver.processes.bootstrap import EXIT_OK, Start
from mediaserver.processes.fork_server import unsafe
from mediaserver.webhooks.tables import TABLES as WEBHOOKS
from metering.book.book import Book
from metering.book.engine import is_current
from metering.book.stream_names import slug_fault

BESIDE: Final = (PEOPLE, PAYMENTS, WEBHOOKS)
"""Whose tables are in the book's database."""

_log = log.get("control")


def migrate_apart(start: Start) -> None:
    """Bring the book's schema up in a fork that ends: what it imports and leaves is not kept.

    Its failure is left to the next to open the book, which reports it.
    """
    url = book_url(start)
    asset = start.settings.asset
    if unsafe():
        return
    if is_current(url):
        with Book.open(url, asset) as book, book.viewing() as connection:
            if all(room.is_current(connection) for room in BESIDE):
                return
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        with Book.open(url, asset) as book:
            for room in BESIDE:
                room.bring_up(book)
    finally:
        os._exit(EXIT_OK)


def book_url(start: Start) -> str:
    """Return the database URL of a server's book."""
    return f"sqlite:///{start.data_dir / 'book.sqlite3'}"


def tell_refused_names(book: Book) -> None:
    """Tell the operator of streams whose address is ours since this version."""
    for stream in book.streams.all():
        if fault := slug_fault(stream.slug):
            remedy = f"vilokanam streams rename {stream.slug} NEW"
            _log.warning("control.slug.refused", slug=stream.slug, reason=fault, remedy=remedy)
