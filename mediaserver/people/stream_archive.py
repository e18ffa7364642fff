"""Streams that are archived, and names that streams had: in the tables of people.

An archived stream is closed to viewers and publishers and in no list that does not ask for it; its
rows stay, so that statements and receipts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select

from mediaserver.people.schema import stream_archive, stream_old_names
from metering.book.schema import streams
from metering.errors import InvalidValueError

OLD_NAMES_MAX: Final = 20
"""Of one stream: each is a name that nobody else may have."""
_AT_ONCE: Final = 400
"""Streams in one query: older SQLite takes 999 values."""


def listed(*, is_archived: bool) -> list[ColumnElement[bool]]:
    """Return what is asked of rows of streams: the archived ones, or all others."""
    archived = streams.c.id.in_(select(stream_archive.c.stream))
    return [archived if is_archived else ~archived]


def since(connection: Connection, chosen: Sequence[UUID]) -> dict[UUID, int]:
    """Return since when some streams are archived, Unix ms, those that are alone."""
    table = stream_archive.c
    found: dict[UUID, int] = {}
    for begin in range(0, len(chosen), _AT_ONCE):
        some = chosen[begin : begin + _AT_ONCE]
        query = select(table.stream, table.archived_ms).where(table.stream.in_(some))
        found |= {row.stream: row.archived_ms for row in connection.execute(query)}
    return found


def archive(connection: Connection, stream: UUID, now_ms: int, *, was_enabled: bool) -> bool:
    """Archive a stream; return whether it was not before.

    Args:
        was_enabled: Whether it was open to viewers until now.
    """
    if since(connection, [stream]):
        return False
    connection.execute(
        insert(stream_archive).values(stream=stream, was_enabled=was_enabled, archived_ms=now_ms)
    )
    return True


def restore(connection: Connection, stream: UUID) -> bool | None:
    """Take a stream out of the archive.

    Returns:
        Whether it was open to viewers before; None where it is not archived.
    """
    gone = connection.execute(
        delete(stream_archive)
        .where(stream_archive.c.stream == stream)
        .returning(stream_archive.c.was_enabled)
    )
    return gone.scalar_one_or_none()


def require_free(connection: Connection, slug: str, stream: UUID | None = None) -> None:
    """Hold that a name was no other stream's before.

    Args:
        stream: Whose names may come back; None: nobody's.

    Raises:
        InvalidValueError: It was.
    """
    query = select(stream_old_names.c.stream).where(stream_old_names.c.slug == slug)
    holder = connection.execute(query).scalar_one_or_none()
    if holder is not None and holder != stream:
        raise InvalidValueError(
            f"slug {slug!r} was another stream's, and a slug is never used twice: choose another"
        )


def rename(connection: Connection, stream: UUID, old: str, wanted: str, now_ms: int) -> None:
    """Keep the name that a stream gives up, and let it have one that it gave up before.

    Raises:
        InvalidValueError: The wanted one was another stream's, or it has had too many.
    """
    require_free(connection, wanted, stream)
    table = stream_old_names.c
    connection.execute(delete(stream_old_names).where(table.slug == wanted, table.stream == stream))
    count = select(func.count()).where(table.stream == stream)
    if connection.execute(count).scalar_one() >= OLD_NAMES_MAX:
        raise InvalidValueError(
            f"this stream has had {OLD_NAMES_MAX} other names, which stay its own: give it one of "
            "those, or make another stream"
        )
    connection.execute(insert(stream_old_names).values(slug=old, stream=stream, renamed_ms=now_ms))
