"""Who asked for a letter when their balance runs down, and what is due to them.

A letter is due from the transaction that saw the crossing until the mail server took it: a crash in
between sends it again, and none is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, delete, insert, select, update

from mediaserver.people import persons
from mediaserver.people.balance_crossing import Crossed, Letter
from mediaserver.people.schema import balance_letters, credentials, people
from metering.book import schema as book_schema
from metering.units import AccountId, Planck

DUE_MAX: Final = 100
"""Letters of one round."""
DUE_FOR_MS: Final = 86_400_000
"""After a day without a mail server the news is old."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for.

    Attributes:
        credential: The way in whose address the letters go to.
    """

    person: str
    account: AccountId
    credential: str
    crossed: Crossed


@dataclass(frozen=True, slots=True)
class Due:
    """A letter that is to be sent."""

    person: str
    address: str
    letter: Letter
    balance: Planck
    due_ms: int


def of_person(connection: Connection, person: str) -> Asked | None:
    """Return what a person asked for, None where it is nothing."""
    query = _asked().where(balance_letters.c.person == person)
    row = connection.execute(query).one_or_none()
    return None if row is None else _row(row)


def put(connection: Connection, person: str, credential: str, crossed: Crossed) -> None:
    """Have a person's letters sent to the address of one of their ways in."""
    persons.require_open(connection, person)
    drop(connection, person)
    connection.execute(
        insert(balance_letters).values(
            person=person, credential=credential, due="", due_ms=0, balance="0", **_values(crossed)
        )
    )


def drop(connection: Connection, person: str) -> None:
    """Send a person no letters any more."""
    connection.execute(delete(balance_letters).where(balance_letters.c.person == person))


def watching(connection: Connection, now_ms: int) -> dict[Asked, set[UUID]]:
    """Return who asked for letters and has players now, with the streams that those are of."""
    sessions = book_schema.sessions.c
    query = _asked().add_columns(sessions.stream).distinct()
    rows = connection.execute(
        query.join(book_schema.sessions, sessions.account == people.c.account).where(
            sessions.ends_ms > now_ms, sessions.ended_ms.is_(None), sessions.expires_ms > now_ms
        )
    )
    found: dict[Asked, set[UUID]] = {}
    for row in rows:
        found.setdefault(_row(row), set()).add(row.stream)
    return found


def saw(  # noqa: PLR0917 -- one row
    connection: Connection,
    asked: Asked,
    crossed: Crossed,
    letter: Letter | None,
    balance: Planck,
    now_ms: int,
) -> None:
    """Keep what a look at a balance showed; what they asked for meanwhile holds."""
    values = _values(crossed)
    if letter is not None:
        values |= {"due": letter.value, "due_ms": now_ms, "balance": str(balance)}
    connection.execute(
        update(balance_letters)
        .where(
            balance_letters.c.person == asked.person,
            balance_letters.c.threshold == str(asked.crossed.threshold),
        )
        .values(**values)
    )


def due(connection: Connection, now_ms: int, put_off: Collection[Due] = ()) -> Sequence[Due]:
    """Return the oldest letters that are due and not too old.

    Args:
        put_off: Those that no mail server took lately: they make room for others.
    """
    table = balance_letters.c
    rows = connection.execute(
        select(balance_letters, credentials.c.subject)
        .join(credentials, credentials.c.id == table.credential)
        .where(table.due != "", table.due_ms > now_ms - DUE_FOR_MS)
        .order_by(table.due_ms, table.person)
        .limit(DUE_MAX + len(put_off))
    )
    found = (
        Due(row.person, row.subject, Letter(row.due), Planck(int(row.balance)), row.due_ms)
        for row in rows
    )
    return [letter for letter in found if letter not in put_off][:DUE_MAX]


def sent(connection: Connection, letter: Due) -> None:
    """Note that a letter was taken; one that is due since then stays."""
    table = balance_letters.c
    connection.execute(
        update(balance_letters)
        .where(table.person == letter.person, table.due_ms == letter.due_ms)
        .values(due="")
    )


def _asked() -> Any:
    """Return the query of those who asked and whose address is still theirs."""
    table = balance_letters.c
    return (
        select(balance_letters, people.c.account)
        .join(people, people.c.id == table.person)
        .join(credentials, credentials.c.id == table.credential)
        .where(people.c.account.is_not(None), people.c.closed_ms.is_(None))
    )


def _row(row: Row[Any]) -> Asked:
    ended = None if row.ended is None else Planck(int(row.ended))
    crossed = Crossed(Planck(int(row.threshold)), row.is_low, ended)
    return Asked(row.person, AccountId(bytes(row.account)), row.credential, crossed)


def _values(crossed: Crossed) -> dict[str, Any]:
    return {
        "threshold": str(crossed.threshold),
        "is_low": crossed.is_low,
        "ended": None if crossed.ended is None else str(crossed.ended),
    }
