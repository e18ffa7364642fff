"""Guests who do not come any more: people with one passkey, made on the spot, and nothing else.

Who adds another way in, has a role or a stream, or made a key is a guest no more. Whether one holds
money is for the caller to know.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, exists, func, select

from mediaserver.people.records import CredentialKind, Person
from mediaserver.people.schema import (
    api_keys,
    browser_sessions,
    credentials,
    people,
    roles,
    stream_roles,
)
from metering.units import AccountId


def page(connection: Connection, since_ms: int, after: str, limit: int) -> list[Person]:
    """Return guests whom nobody has seen since then, by id.

    Args:
        since_ms: Unix time.
        after: Id behind which the page begins.
    """
    query = select(people).where(people.c.id > after, _is_idle(since_ms))
    return [
        Person(row.id, row.name, row.account and AccountId(row.account), row.created_ms)
        for row in connection.execute(query.order_by(people.c.id).limit(limit))
    ]


def is_idle(connection: Connection, person: str, since_ms: int) -> bool:
    """Return whether `page` has a person, now."""
    query = select(people.c.id).where(people.c.id == person, _is_idle(since_ms))
    return connection.execute(query).first() is not None


def _is_idle(since_ms: int) -> ColumnElement[bool]:
    person = people.c.id
    ways = credentials.c.person == person
    used = func.coalesce(credentials.c.used_ms, credentials.c.created_ms)
    return and_(
        people.c.closed_ms.is_(None),
        people.c.created_ms < since_ms,
        select(func.count()).where(ways).scalar_subquery() == 1,
        exists().where(ways, credentials.c.kind == CredentialKind.PASSKEY.value, used < since_ms),
        ~exists().where(
            browser_sessions.c.person == person, browser_sessions.c.seen_ms >= since_ms
        ),
        ~exists().where(roles.c.person == person),
        ~exists().where(stream_roles.c.person == person),
        ~exists().where(api_keys.c.made_by == "person:" + person),
    )
