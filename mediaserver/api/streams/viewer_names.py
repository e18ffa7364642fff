"""Whom a name of a viewer means to who writes it.

Staff and machines read the list of viewers. To a stream's creator a name means somebody who has
watched that stream: else they could find out who has an account here by trying names.
"""

from __future__ import annotations

from uuid import UUID

from mediaserver.people.records import STAFF, Principal
from metering.book.book import Book
from metering.book.records import ViewerRecord


def viewer_of(book: Book, who: Principal, stream: UUID | None, name: str) -> ViewerRecord:
    """Return a viewer by name or account.

    Args:
        stream: The one that the address names; None: staff alone comes there.

    Raises:
        UnknownNameError: There is none, or not for who asks: in the same words.
    """
    knows_all = who.scopes is not None or bool(who.roles & STAFF)
    if knows_all or stream is None or name.startswith("0x"):
        return book.viewers.get(name)
    return book.viewers.watched_by(stream, name)
