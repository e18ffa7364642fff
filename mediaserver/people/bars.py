"""Who is barred from a stream, or from the whole server, until when and why: rows, never removed.

A bar holds for an account. What it ends and whom it stops is the API's
(`mediaserver.api.streams.bars`, `mediaserver.api.viewers.tokens`); it is asked for in the
transaction that would let somebody in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, func, insert, or_, select, update

from mediaserver.people import persons, tokens
from mediaserver.people.records import Role
from mediaserver.people.schema import bars
from metering.book.rows import chunks
from metering.book.touched import mark
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId

OPEN_MAX: Final = 10_000
"""Of one stream, or of the server: what is asked for at every mint stays small."""
REASON_MAX: Final = 200
STAFF: Final = frozenset({Role.OWNER, Role.SUPPORT})
"""Whose bars a stream's creator neither replaces nor takes back."""
_OF_STAFF: Final = " (staff)"
"""Kept behind who made it; bars of before are staff's while their maker is."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar.

    Attributes:
        number: Grows from row to row: pages go by it.
        stream: None: from the whole server.
        until_ms: Unix time from which it holds no more; None: until it is taken back.
        reason: As who made it wrote it; the barred viewer reads it.
        made_by: As the audit log names them.
        ended_ms: When it was taken back.
        is_by_staff: Who made it was staff then.
    """

    id: str
    number: int
    account: AccountId
    stream: UUID | None
    until_ms: int | None
    reason: str
    made_by: str
    made_ms: int
    ended_ms: int | None
    is_by_staff: bool = False

    def is_open(self, now_ms: int) -> bool:
        """Return whether it holds."""
        return self.ended_ms is None and (self.until_ms is None or now_ms < self.until_ms)


def add(  # noqa: PLR0917 -- one row
    connection: Connection,
    account: AccountId,
    stream: UUID | None,
    until_ms: int | None,
    reason: str,
    made_by: str,
    now_ms: int,
    *,
    is_of_staff: bool = False,
) -> Bar:
    """Bar an account from a stream, or with None from the server; one that holds is replaced.

    Args:
        is_of_staff: Whether who makes it is staff now: it stays staff's when they leave.

    Raises:
        InvalidValueError: Its end is past, it has no reason, or too many hold.
    """
    if until_ms is not None and until_ms <= now_ms:
        raise InvalidValueError(
            f"until_ms {until_ms} is past: give a time to come (Unix, ms), or leave it out"
        )
    if not 0 < len(reason.strip()) <= REASON_MAX:
        raise InvalidValueError(
            f"reason: has {len(reason)} characters, not 1 to {REASON_MAX}; the viewer reads it"
        )
    _mark(connection, stream)
    connection.execute(
        update(bars)
        .where(bars.c.account == account, bars.c.stream == _kept(stream), bars.c.ended_ms.is_(None))
        .values(ended_ms=now_ms)
    )
    count = select(func.count()).where(bars.c.stream == _kept(stream), _holds(now_ms))
    if connection.execute(count).scalar_one() >= OPEN_MAX:
        raise InvalidValueError(f"{OPEN_MAX} accounts are barred: take some bars back first")
    row = connection.execute(
        insert(bars)
        .values(
            id=tokens.new_id(),
            account=account,
            stream=_kept(stream),
            until_ms=until_ms,
            reason=reason.strip(),
            made_by=made_by + _OF_STAFF * is_of_staff,
            made_ms=now_ms,
        )
        .returning(bars)
    ).one()
    return _bar(row)


def end(connection: Connection, bar: str, stream: UUID | None, now_ms: int) -> Bar:
    """Take a bar back; again changes nothing.

    Raises:
        UnknownNameError: There is none from this stream, or from the server.
    """
    is_it = (bars.c.id == bar) & (bars.c.stream == _kept(stream))
    _mark(connection, stream)
    connection.execute(update(bars).where(is_it, bars.c.ended_ms.is_(None)).values(ended_ms=now_ms))
    return get(connection, bar, stream)


def get(connection: Connection, bar: str, stream: UUID | None) -> Bar:
    """Return a bar from a stream, or from the server.

    Raises:
        UnknownNameError: There is none.
    """
    is_it = (bars.c.id == bar) & (bars.c.stream == _kept(stream))
    row = connection.execute(select(bars).where(is_it)).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no bar {bar[:32]!r} here")
    return _bar(row)


def held(connection: Connection, account: AccountId, stream: UUID, now_ms: int) -> Bar | None:
    """Return the bar that keeps an account from a stream, the newest; None when there is none."""
    row = connection.execute(
        select(bars)
        .where(bars.c.account == account, bars.c.stream.in_([stream.bytes, b""]), _holds(now_ms))
        .order_by(bars.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _bar(row)


def on(connection: Connection, account: AccountId, stream: UUID | None, now_ms: int) -> Bar | None:
    """Return the bar of an account from just this stream, or from the server, that holds."""
    is_it = (bars.c.account == account) & (bars.c.stream == _kept(stream))
    row = connection.execute(select(bars).where(is_it, _holds(now_ms))).first()
    return None if row is None else _bar(row)


def is_of_staff(connection: Connection, bar: Bar) -> bool:
    """Return whether staff, or a machine of theirs, made a bar, or who made it is staff now."""
    kind, _, person = bar.made_by.partition(":")
    return bar.is_by_staff or kind != "person" or bool(persons.roles_of(connection, person) & STAFF)


def guarded_until(
    connection: Connection, streams: Sequence[UUID], now_ms: int
) -> dict[UUID, int | None]:
    """Return which of some streams somebody is barred from: they ask everybody for a token.

    Returns:
        With each when the first of its bars ends by itself, Unix ms; None: none does.
    """
    found: dict[UUID, int | None] = {}
    for some in chunks([stream.bytes for stream in streams]):
        query = select(bars.c.stream, func.min(bars.c.until_ms).label("until_ms"))
        query = query.where(bars.c.stream.in_(some), _holds(now_ms)).group_by(bars.c.stream)
        found |= {UUID(bytes=bytes(row[0])): row[1] for row in connection.execute(query)}
    return found


def page(
    connection: Connection, stream: UUID | None, limit: int, before: int | None = None
) -> list[Bar]:
    """Return the bars of a stream, or of the server, the newest first.

    Args:
        before: Number of the bar behind which the page begins.
    """
    query = select(bars).where(bars.c.stream == _kept(stream))
    if before is not None:
        query = query.where(bars.c.number < before)
    rows = connection.execute(query.order_by(bars.c.number.desc()).limit(limit))
    return [_bar(row) for row in rows]


def _holds(now_ms: int) -> ColumnElement[bool]:
    return bars.c.ended_ms.is_(None) & or_(bars.c.until_ms.is_(None), bars.c.until_ms > now_ms)


def _mark(connection: Connection, stream: UUID | None) -> None:
    if stream is not None:
        mark(connection, stream)


def _kept(stream: UUID | None) -> bytes:
    return b"" if stream is None else stream.bytes


def _bar(row: Row[Any]) -> Bar:
    return Bar(
        row.id,
        row.number,
        AccountId(bytes(row.account)),
        UUID(bytes=bytes(row.stream)) if row.stream else None,
        row.until_ms,
        row.reason,
        row.made_by.removesuffix(_OF_STAFF),
        row.made_ms,
        row.ended_ms,
        row.made_by.endswith(_OF_STAFF),
    )
