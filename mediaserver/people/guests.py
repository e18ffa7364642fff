"""Visibility of streams, their guests, guest links and passwords, in the tables of people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from mediaserver.people import persons, tokens
from mediaserver.people.records import Principal
from mediaserver.people.schema import (
    guest_links,
    guests,
    people,
    stream_visibility,
)
from mediaserver.people.visibility import Guest, GuestLink, Visibility, Way, may_see
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.book.stream_rows import no_stream
from metering.book.touched import mark
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId, account_text

GUESTS_MAX: Final = 10_000
"""Of one stream; who they are is read whole when it changes whom a stream is for."""
LINKS_MAX: Final = 100
"""Open ones of one stream."""
USES_MAX: Final = 10_000
_AT_ONCE: Final = 400
"""Accounts in one query: older SQLite takes 999 values."""


def of_person(person: str) -> str:
    """Return a person's name as a guest."""
    return f"person:{person}"


def of_account(account: AccountId) -> str:
    """Return the name as a guest of a viewer that is nobody's in particular."""
    return f"account:{account_text(account)}"


def visibility_of(connection: Connection, stream: UUID) -> Visibility:
    """Return whom a stream is for."""
    query = select(stream_visibility.c.visibility).where(stream_visibility.c.stream == stream)
    text = connection.execute(query).scalar_one_or_none()
    return Visibility.PUBLIC if text is None else Visibility(text)


def visibilities(connection: Connection, streams: Sequence[UUID]) -> dict[UUID, Visibility]:
    """Return whom some streams are for, those that are not public alone."""
    table = stream_visibility.c
    found: dict[UUID, Visibility] = {}
    for begin in range(0, len(streams), _AT_ONCE):
        some = streams[begin : begin + _AT_ONCE]
        query = select(table.stream, table.visibility).where(table.stream.in_(some))
        found |= {row.stream: Visibility(row.visibility) for row in connection.execute(query)}
    return found


def set_visibility(connection: Connection, stream: UUID, visibility: Visibility) -> None:
    """Say whom a stream is for; its guests, links and password stay."""
    _keep(connection, stream, visibility=visibility.value)


def password_of(connection: Connection, stream: UUID) -> str:
    """Return what is kept of a stream's password, empty when it has none."""
    query = select(stream_visibility.c.password).where(stream_visibility.c.stream == stream)
    return connection.execute(query).scalar_one_or_none() or ""


def set_password(connection: Connection, stream: UUID, kept: str) -> None:
    """Keep a password's hash, or with an empty one none; guests stay."""
    _keep(connection, stream, password=kept)


def is_guest(connection: Connection, stream: UUID, names: list[str]) -> bool:
    """Return whether somebody is a guest of a stream, by any of their names."""
    return bool(_known(connection, stream, names))


def sees(connection: Connection, stream: UUID, who: Principal) -> bool:
    """Return whether who makes a request may see a stream whose address they know."""
    if who.scopes is not None:
        return True  # A machine's key is the operator's.
    visibility, names = visibility_of(connection, stream), []
    if who.person is not None:
        account = persons.get(connection, who.person).account
        names = [of_person(who.person), *([of_account(account)] if account else [])]
    return may_see(
        visibility,
        who.roles,
        who.of_stream(stream),
        is_guest=is_guest(connection, stream, names),
    )


def seen_stream(book: Book, connection: Connection, slug: str, who: Principal) -> StreamRecord:
    """Return a stream by its public name, if who makes a request may see it.

    Raises:
        UnknownNameError: There is none, or not for them: in the same words.
    """
    stream = book.streams.get(slug)
    if not sees(connection, stream.id, who):
        raise no_stream(slug)
    return stream


def may_watch(connection: Connection, stream: UUID, account: AccountId) -> bool:
    """Return whether who pays from an account may see a stream."""
    return account in may_all_watch(connection, stream, [account])


def may_all_watch(
    connection: Connection, stream: UUID, accounts: Iterable[AccountId]
) -> set[AccountId]:
    """Return which of these accounts may see a stream; who pays from one may be nobody we know."""
    visibility, wanted = visibility_of(connection, stream), list(accounts)
    if visibility is not Visibility.INVITED:
        return set(wanted)
    seeing: set[AccountId] = set()
    for begin in range(0, len(wanted), _AT_ONCE):
        chunk = wanted[begin : begin + _AT_ONCE]
        rows = connection.execute(
            select(people.c.id, people.c.account).where(
                people.c.account.in_([bytes(account) for account in chunk]),
                people.c.closed_ms.is_(None),
            )
        )
        person = {AccountId(bytes(row.account)): row.id for row in rows}
        names = [*map(of_account, chunk), *map(of_person, person.values())]
        known = _known(connection, stream, names)
        held = persons.of_stream(connection, stream)
        for account in chunk:
            owner = person.get(account, "")
            if may_see(
                visibility,
                persons.roles_of(connection, owner) if owner else frozenset(),
                held.get(owner, frozenset()),
                is_guest=not known.isdisjoint({of_account(account), of_person(owner)}),
            ):
                seeing.add(account)
    return seeing


def add(  # noqa: PLR0917 -- one row
    connection: Connection, stream: UUID, name: str, way: Way, now_ms: int, link: str = ""
) -> bool:
    """Make somebody a guest; again changes nothing and returns False.

    Raises:
        InvalidValueError: The stream has as many as fit.
    """
    if is_guest(connection, stream, [name]):
        return False
    count = select(func.count()).where(guests.c.stream == stream)
    if connection.execute(count).scalar_one() >= GUESTS_MAX:
        raise InvalidValueError(f"a stream has at most {GUESTS_MAX} guests: remove some first")
    connection.execute(
        insert(guests).values(stream=stream, guest=name, way=way.value, link=link, since_ms=now_ms)
    )
    return True


def remove(connection: Connection, stream: UUID, name: str) -> None:
    """Make somebody no guest any more.

    Raises:
        UnknownNameError: They were none.
    """
    gone = connection.execute(
        delete(guests).where(guests.c.stream == stream, guests.c.guest == name)
    )
    if not gone.rowcount:
        raise UnknownNameError(f"{name[:80]!r} is no guest of this stream")


def get(connection: Connection, stream: UUID, name: str) -> Guest:
    """Return a guest of a stream.

    Raises:
        UnknownNameError: They are none.
    """
    query = select(guests).where(guests.c.stream == stream, guests.c.guest == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownNameError(f"{name[:80]!r} is no guest of this stream")
    return _guest(row)


def page(connection: Connection, stream: UUID, after: str, limit: int) -> list[Guest]:
    """Return the guests of a stream whose name is behind `after`, by name."""
    rows = connection.execute(
        select(guests)
        .where(guests.c.stream == stream, guests.c.guest > after)
        .order_by(guests.c.guest)
        .limit(limit)
    )
    return [_guest(row) for row in rows]


def make_link(  # noqa: PLR0917 -- one row
    connection: Connection,
    stream: UUID,
    uses_max: int,
    made_by: str,
    now_ms: int,
    expires_ms: int,
) -> tuple[str, GuestLink]:
    """Return the secret of a new guest link, shown this once, and its row.

    Raises:
        InvalidValueError: It would make none or too many guests, its end is past, or too many are
            open.
    """
    if not 0 < uses_max <= USES_MAX:
        raise InvalidValueError(f"uses {uses_max}: a link is for 1 to {USES_MAX} guests")
    if expires_ms <= now_ms:
        raise InvalidValueError(f"expires_ms {expires_ms} is past; leave it out for a week")
    if sum(item.is_open(now_ms) for item in links(connection, stream)) >= LINKS_MAX:
        raise InvalidValueError(f"{LINKS_MAX} links are open: take some back first")
    secret = tokens.new_secret()
    made = GuestLink(tokens.new_id(), uses_max, 0, made_by, now_ms, expires_ms, None)
    connection.execute(
        insert(guest_links).values(
            sha256=tokens.sha256(secret),
            id=made.id,
            stream=stream,
            uses_max=uses_max,
            uses=0,
            made_by=made_by,
            created_ms=now_ms,
            expires_ms=expires_ms,
        )
    )
    return secret, made


def links(connection: Connection, stream: UUID) -> list[GuestLink]:
    """Return the guest links of a stream, the newest first."""
    rows = connection.execute(
        select(guest_links)
        .where(guest_links.c.stream == stream)
        .order_by(guest_links.c.created_ms.desc(), guest_links.c.id)
        .limit(5 * LINKS_MAX)
    )
    return [_link(row) for row in rows]


def use_link(connection: Connection, stream: UUID, secret: str, name: str, now_ms: int) -> bool:
    """Make somebody a guest by a link; return False when it opens nothing.

    A guest who comes again uses nothing up. Exact when others come at the same time: the count
    is raised only while it is below its bound, in the transaction that adds the guest.

    Raises:
        InvalidValueError: The stream has as many guests as fit.
    """
    known = _lasting(connection, stream, secret, now_ms)
    if known is None:
        return False
    if is_guest(connection, stream, [name]):
        return True
    used = connection.execute(
        update(guest_links)
        .where(guest_links.c.id == known.id, guest_links.c.uses < guest_links.c.uses_max)
        .values(uses=guest_links.c.uses + 1)
    )
    return bool(used.rowcount) and add(connection, stream, name, Way.LINK, now_ms, known.id)


def opens(connection: Connection, stream: UUID, secret: str, now_ms: int) -> bool:
    """Return whether a link makes one more guest of a stream; it is not used up by that."""
    known = _lasting(connection, stream, secret, now_ms)
    return known is not None and known.is_open(now_ms)


def _lasting(connection: Connection, stream: UUID, secret: str, now_ms: int) -> GuestLink | None:
    """Return a link of a stream that was not taken back and is not over, used up or not."""
    row = connection.execute(
        select(guest_links).where(
            guest_links.c.sha256 == tokens.sha256(secret),
            guest_links.c.stream == stream,
            guest_links.c.ended_ms.is_(None),
            guest_links.c.expires_ms > now_ms,
        )
    ).one_or_none()
    return None if row is None else _link(row)


def end_link(
    connection: Connection, stream: UUID, link: str, now_ms: int, *, with_guests: bool
) -> int:
    """Take a guest link back; return how many guests went with it.

    Args:
        with_guests: Whether those whom it made guests are none any more.

    Raises:
        UnknownNameError: There is none, or it was taken back before.
    """
    gone = connection.execute(
        update(guest_links)
        .where(
            guest_links.c.stream == stream,
            guest_links.c.id == link,
            guest_links.c.ended_ms.is_(None),
        )
        .values(ended_ms=now_ms)
    )
    if not gone.rowcount:
        raise UnknownNameError(f"this stream has no link {link[:32]!r} that was not taken back")
    if not with_guests:
        return 0
    removed = connection.execute(
        delete(guests).where(guests.c.stream == stream, guests.c.link == link)
    )
    return removed.rowcount


def _known(connection: Connection, stream: UUID, names: list[str]) -> set[str]:
    query = select(guests.c.guest).where(guests.c.stream == stream, guests.c.guest.in_(names))
    return set(connection.execute(query).scalars())


def _keep(connection: Connection, stream: UUID, **values: str) -> None:
    mark(connection, stream)
    known = update(stream_visibility).where(stream_visibility.c.stream == stream)
    if not connection.execute(known.values(**values)).rowcount:
        row = {"visibility": Visibility.PUBLIC.value, "password": "", **values}
        connection.execute(insert(stream_visibility).values(stream=stream, **row))


def _guest(row: Row[Any]) -> Guest:
    return Guest(row.guest, Way(row.way), row.link, row.since_ms)


def _link(row: Row[Any]) -> GuestLink:
    return GuestLink(
        row.id,
        row.uses_max,
        row.uses,
        row.made_by,
        row.created_ms,
        row.expires_ms,
        row.ended_ms,
    )
