"""Which streams are taken down, by whom and why: rows, never removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, select, update

from mediaserver.people.schema import takedowns
from metering.book.rows import chunks
from metering.book.touched import mark
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError

HELD_MAX: Final = 2000
"""They go along with each policy of the HTTP processes, with their reasons: half a megabyte."""
REASON_MAX: Final = 200
LEGAL: Final = 451
"""RFC 7725: it was demanded by law."""
GONE: Final = 410
TAKEN_DOWN: Final = "taken_down"
"""Why a session ended, and what a refusal says."""


@dataclass(frozen=True, slots=True)
class TakeDown:
    """A stream that was taken down.

    Attributes:
        number: Grows from row to row: pages go by it.
        reason: As who took it down wrote it; everybody reads it.
        is_legal: Whether the law demanded it.
        made_by: As the audit log names them.
        ended_ms: When it was put back; None: it is down.
    """

    number: int
    stream: UUID
    reason: str
    is_legal: bool
    made_by: str
    made_ms: int
    ended_ms: int | None

    @property
    def status(self) -> int:
        """Return what its address is answered with."""
        return LEGAL if self.is_legal else GONE


def words(reason: str, *, is_legal: bool) -> str:
    """Return what everybody is told at its address."""
    why = "as the law demands" if is_legal else "by the operator of this server"
    return f"This stream was taken down {why}: {reason}"


def add(  # noqa: PLR0917 -- one row
    connection: Connection,
    stream: UUID,
    reason: str,
    is_legal: bool,
    made_by: str,
    now_ms: int,
) -> TakeDown:
    """Take a stream down.

    Raises:
        InvalidValueError: It has no reason, or too many are down.
        IdempotencyConflictError: It is down already.
    """
    if not 0 < len(reason.strip()) <= REASON_MAX:
        raise InvalidValueError(
            f"reason: has {len(reason)} characters, not 1 to {REASON_MAX}; everybody reads it"
        )
    if held(connection, stream) is not None:
        raise IdempotencyConflictError("the stream is taken down already: put it back first")
    mark(connection, stream)
    count = select(func.count()).where(takedowns.c.ended_ms.is_(None))
    if connection.execute(count).scalar_one() >= HELD_MAX:
        raise InvalidValueError(f"{HELD_MAX} streams are taken down: put some back first")
    row = connection.execute(
        insert(takedowns)
        .values(
            stream=stream,
            reason=reason.strip(),
            is_legal=is_legal,
            made_by=made_by,
            made_ms=now_ms,
        )
        .returning(takedowns)
    ).one()
    return _takedown(row)


def end(connection: Connection, stream: UUID, now_ms: int) -> TakeDown:
    """Put a stream back; return what had taken it down.

    Raises:
        UnknownNameError: It is not taken down.
    """
    known = held(connection, stream)
    if known is None:
        raise UnknownNameError("the stream is not taken down")
    mark(connection, stream)
    connection.execute(
        update(takedowns).where(takedowns.c.number == known.number).values(ended_ms=now_ms)
    )
    return known


def held(connection: Connection, stream: UUID) -> TakeDown | None:
    """Return what keeps a stream down; None: it is up."""
    row = connection.execute(
        select(takedowns).where(takedowns.c.stream == stream, takedowns.c.ended_ms.is_(None))
    ).one_or_none()
    return None if row is None else _takedown(row)


def all_held(connection: Connection, streams: Sequence[UUID] | None = None) -> dict[UUID, TakeDown]:
    """Return the streams that are down, of some or of all."""
    query = select(takedowns).where(takedowns.c.ended_ms.is_(None))
    queries = [query]
    if streams is not None:
        queries = [query.where(takedowns.c.stream.in_(some)) for some in chunks(streams)]
    return {row.stream: _takedown(row) for each in queries for row in connection.execute(each)}


def page(connection: Connection, limit: int, before: int | None = None) -> list[TakeDown]:
    """Return take-downs, the newest first.

    Args:
        before: Number behind which the page begins.
    """
    query = select(takedowns)
    if before is not None:
        query = query.where(takedowns.c.number < before)
    rows = connection.execute(query.order_by(takedowns.c.number.desc()).limit(limit))
    return [_takedown(row) for row in rows]


def _takedown(row: Row[Any]) -> TakeDown:
    return TakeDown(
        row.number,
        row.stream,
        row.reason,
        row.is_legal,
        row.made_by,
        row.made_ms,
        row.ended_ms,
    )
