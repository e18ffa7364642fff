"""People and what they are: for the whole server, and for single streams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mediaserver import text
from mediaserver.people import tokens
from mediaserver.people.records import SERVER_ROLES, STREAM_ROLES, Person, Role
from mediaserver.people.schema import people, roles, stream_roles
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId, account_text

NAME_CHARACTERS_MAX: Final = 80
PAGE_MAX: Final = 500


def create(connection: Connection, name: str, now_ms: int, chosen_id: str = "") -> Person:
    """Return a new person, who can do nothing yet.

    Args:
        chosen_id: An id that was made before, for what an authenticator keeps; empty: a new one.

    Raises:
        InvalidValueError: The name cannot be one.
    """
    person = Person(chosen_id or tokens.new_person_id(), checked_name(name), None, now_ms)
    connection.execute(insert(people).values(id=person.id, name=person.name, created_ms=now_ms))
    return person


def checked_name(name: str) -> str:
    """Return a name without spaces around it.

    Raises:
        InvalidValueError: It cannot be one.
    """
    name = name.strip()
    if fault := text.fault(name):
        raise InvalidValueError(f"a person's name {fault}; leave it out")
    if not 0 < len(name) <= NAME_CHARACTERS_MAX:
        raise InvalidValueError(
            f"a person's name has 1 to {NAME_CHARACTERS_MAX} characters, not {len(name)}"
        )
    return name


def get(connection: Connection, person: str) -> Person:
    """Return a person by id.

    Raises:
        UnknownNameError: There is none.
    """
    row = connection.execute(select(people).where(people.c.id == person)).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no person {person[:64]!r}")
    return _person(row)


def of_account(connection: Connection, account: AccountId) -> Person | None:
    """Return who pays as a viewer, None when that is nobody."""
    query = select(people).where(people.c.account == bytes(account))
    row = connection.execute(query).one_or_none()
    return None if row is None else _person(row)


def page(connection: Connection, after: str = "", limit: int = PAGE_MAX) -> list[Person]:
    """Return the people whose id is behind `after`, by id."""
    rows = connection.execute(
        select(people).where(people.c.id > after).order_by(people.c.id).limit(limit)
    )
    return [_person(row) for row in rows]


def rename(connection: Connection, person: str, name: str) -> bool:
    """Give a person a name; return whether it is another one.

    Raises:
        InvalidValueError: It cannot be one.
    """
    wanted = checked_name(name)
    done = connection.execute(
        update(people)
        .where(people.c.id == person, people.c.name != wanted, people.c.closed_ms.is_(None))
        .values(name=wanted)
    )
    return bool(done.rowcount)


def give_account(connection: Connection, person: str, account: AccountId) -> None:
    """Let a person pay as a viewer.

    Raises:
        InvalidValueError: They have another one, or it is another person's.
        UnknownNameError: They are closed.
    """
    require_open(connection, person)
    known = get(connection, person)
    if known.account == account:
        return
    if known.account is not None:
        raise InvalidValueError(
            f"this person pays as {account_text(known.account)} already; one person has one "
            "account: take the balance out of the other one first"
        )
    try:
        with connection.begin_nested():
            connection.execute(
                update(people).where(people.c.id == person).values(account=bytes(account))
            )
    except IntegrityError as error:
        raise InvalidValueError(f"account {account_text(account)} is another person's") from error


def take_from_closed(connection: Connection, account: AccountId) -> bool:
    """Let a person who is closed pay as a viewer no more; return whether one did.

    For who has shown the account's key. Erasing the closed one again finds nothing of it then.
    """
    taken = connection.execute(
        update(people)
        .where(people.c.account == bytes(account), people.c.closed_ms.is_not(None))
        .values(account=None)
    )
    return bool(taken.rowcount)


def require_open(connection: Connection, person: str) -> None:
    """Hold that a person is not closed: a request of theirs may be on its way still.

    Raises:
        UnknownNameError: They are closed, or there are none.
    """
    if get(connection, person).closed_ms is not None:
        raise UnknownNameError("this account was closed")


def require_payer_open(connection: Connection, account: AccountId) -> None:
    """Hold that who pays from an account did not close: their request may be on its way still.

    An account of nobody we know is held by its own key: it passes.

    Raises:
        UnknownNameError: They are closed.
    """
    query = select(people.c.id).where(people.c.account == bytes(account))
    for person in connection.execute(query).scalars():
        require_open(connection, person)


def close(connection: Connection, person: str, now_ms: int) -> None:
    """Close a person: nothing of theirs signs in any more."""
    connection.execute(
        update(people)
        .where(people.c.id == person, people.c.closed_ms.is_(None))
        .values(closed_ms=now_ms)
    )


def roles_of(connection: Connection, person: str) -> frozenset[Role]:
    """Return what a person is for the whole server."""
    names = connection.execute(select(roles.c.role).where(roles.c.person == person)).scalars()
    return frozenset(map(Role, names))


def has_other_owner(connection: Connection, person: str) -> bool:
    """Return whether somebody else is an owner whose account is open."""
    is_other = (roles.c.role == Role.OWNER) & (roles.c.person != person)
    query = select(roles.c.person).join(people, people.c.id == roles.c.person)
    found = connection.execute(query.where(is_other, people.c.closed_ms.is_(None)).limit(1))
    return found.first() is not None


def set_roles(connection: Connection, person: str, wanted: Iterable[Role]) -> None:
    """Make a person this for the whole server, and nothing else.

    Raises:
        InvalidValueError: One is a role for streams.
    """
    chosen = frozenset(wanted)
    if wrong := sorted(chosen - SERVER_ROLES):
        raise InvalidValueError(
            f"{', '.join(wrong)}: not a role for the whole server; those are "
            f"{', '.join(sorted(SERVER_ROLES))}"
        )
    connection.execute(delete(roles).where(roles.c.person == person))
    if chosen:
        connection.execute(
            insert(roles), [{"person": person, "role": role} for role in sorted(chosen)]
        )


def streams_of(connection: Connection, person: str) -> dict[UUID, frozenset[Role]]:
    """Return what a person is for single streams."""
    return _grouped(
        connection.execute(select(stream_roles).where(stream_roles.c.person == person)).all(),
        "stream",
    )


def of_stream(connection: Connection, stream: UUID) -> dict[str, frozenset[Role]]:
    """Return who is something for a stream, by person."""
    return _grouped(
        connection.execute(select(stream_roles).where(stream_roles.c.stream == stream)).all(),
        "person",
    )


def give_stream_role(connection: Connection, person: str, stream: UUID, role: Role) -> None:
    """Make a person this for a stream; again is harmless.

    Raises:
        InvalidValueError: It is a role for the whole server.
    """
    if role not in STREAM_ROLES:
        raise InvalidValueError(
            f"{role}: not a role for a stream; those are {', '.join(sorted(STREAM_ROLES))}"
        )
    if role not in streams_of(connection, person).get(stream, frozenset()):
        connection.execute(insert(stream_roles).values(person=person, stream=stream, role=role))


def take_stream_role(connection: Connection, person: str, stream: UUID, role: Role) -> None:
    """Take a role for a stream from a person.

    Raises:
        UnknownNameError: They have not got it.
    """
    gone = connection.execute(
        delete(stream_roles).where(
            stream_roles.c.person == person,
            stream_roles.c.stream == stream,
            stream_roles.c.role == role,
        )
    )
    if not gone.rowcount:
        raise UnknownNameError(f"person {person[:64]!r} is no {role} of this stream")


def _grouped(rows: Sequence[Row[Any]], column: str) -> dict[Any, frozenset[Role]]:
    found: dict[Any, set[Role]] = {}
    for row in rows:
        found.setdefault(getattr(row, column), set()).add(Role(row.role))
    return {key: frozenset(held) for key, held in found.items()}


def _person(row: Row[Any]) -> Person:
    account = None if row.account is None else AccountId(bytes(row.account))
    return Person(row.id, row.name, account, row.created_ms, row.closed_ms)
