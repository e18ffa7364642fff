"""A page of a list costs as many queries among thousands of rows as among a few."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from mediaserver.api.viewers import viewers
from mediaserver.people import api_keys, bars, guests, invitations
from mediaserver.people.records import InvitationKind, Role
from mediaserver.people.visibility import Visibility, Way
from metering.book.book import Book
from metering.units import AccountId, Planck, SessionId
from tests.support.people_fixture import make_people

PAGE = 30
FEW, MANY = 40, 400


@contextmanager
def queries(book: Book) -> Iterator[list[str]]:
    """Yield what is asked of the database meanwhile."""
    asked: list[str] = []

    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(book._engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(book._engine, "before_cursor_execute", note)


def account(number: int) -> AccountId:
    return AccountId(number.to_bytes(32, "big"))


def filled(rows: int) -> tuple[Book, UUID]:
    """Return a book with so many viewers, streams, sessions, guests, bars, keys, invitations."""
    fixture = make_people()
    book, stream = fixture.book, fixture.stream.id
    with book.together() as connection:
        for number in range(1, rows + 1):
            who = account(number)
            book.viewers.create(f"v{number:05}", who, number)
            book.deposits.add(who, Planck(10), f"k{number}", "", 1)
            book.sessions.add(SessionId(number), who, stream, 1, number, 1 << 40)
            made, _ = book.streams.create(f"cam-{number:05}", "Cam", Planck(1), 1, 0)
            guests.set_visibility(connection, made.id, Visibility.UNLISTED)
            guests.add(connection, stream, guests.of_account(who), Way.LISTED, 1)
            bars.add(connection, who, stream, None, "x", "admin", number)
            api_keys.make(connection, "bot", ["money:read"], "admin", number, None)
            invitations.make(
                connection,
                InvitationKind.STREAM,
                str(stream),
                Role.CREATOR,
                f"by {number}",
                number,
            )
    return book, stream


LISTS: dict[str, Callable[[Book, UUID], Any]] = {
    "viewers": lambda book, _: viewers.page(book, "v00003", PAGE),
    "streams": lambda book, _: book.streams.page("cam-00003", PAGE),
    "sessions": lambda book, _: book.sessions.page(PAGE),
    "sessions of a stream": lambda book, stream: book.sessions.page(PAGE, stream=stream),
    "guests": lambda book, stream: _with(book, lambda c: guests.page(c, stream, "", PAGE)),
    "bars": lambda book, stream: _with(book, lambda c: bars.page(c, stream, PAGE)),
    "keys": lambda book, _: _with(book, lambda c: api_keys.page(c, PAGE)),
    "invitations": lambda book, _: _with(book, lambda c: invitations.open_ones(c, 1, PAGE)),
}


def _with(book: Book, work: Callable[[Any], Any]) -> Any:
    with book.viewing() as connection:
        return work(connection)


@pytest.fixture(scope="module")
def books() -> Iterator[list[tuple[Book, UUID]]]:
    made = [filled(FEW), filled(MANY)]
    yield made
    for book, _ in made:
        book.close()


@pytest.mark.parametrize("name", LISTS)
def test_a_page_costs_as_many_queries_among_many_rows(books, name) -> None:
    """And none reads a whole table: each names its rows or ends with a limit."""
    counts = []
    for book, stream in books:
        with queries(book) as asked:
            page = LISTS[name](book, stream)
        assert len(page) == PAGE
        statements = [text for text in asked if text.startswith("SELECT")]
        assert all("LIMIT" in text or " IN (" in text for text in statements), statements
        counts.append(len(asked))

    assert counts[0] == counts[1] <= 9


@pytest.mark.parametrize("name", LISTS)
def test_a_page_is_found_by_an_index(books, name) -> None:
    """SQLite's plan walks no table, and sorts nothing: what it says is read."""
    book, stream = books[1]
    plans = []
    with queries(book) as asked:
        LISTS[name](book, stream)
    with book.viewing() as connection:
        for text in asked:
            if text.startswith("SELECT"):
                values = tuple(None for _ in range(text.count("?")))
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)
                plans += [row[-1] for row in plan]

    few = {"invitations", "keys"}  # some hundreds at most, and most of them are asked for
    assert name in few or not [line for line in plans if line.startswith("USE TEMP B-TREE")]
    assert name in few or not [
        line for line in plans if line.startswith("SCAN") and "INDEX" not in line
    ]
