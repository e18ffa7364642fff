"""Who is barred: from a stream or from all, until when; found by account and by page."""

from uuid import UUID

import pytest

from mediaserver.people import bars, persons
from mediaserver.people.records import Role
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId
from tests.support.people_fixture import make_people

STREAM, OTHER = UUID(int=1), UUID(int=2)
ANN, BOB = AccountId(b"a" * 32), AccountId(b"b" * 32)


@pytest.fixture
def connection():
    book = make_people().book
    with book.together() as connection:
        yield connection


def test_a_bar_holds_for_its_stream_until_its_end(connection) -> None:
    made = bars.add(connection, ANN, STREAM, 100, "spam", "admin", 1)

    assert bars.held(connection, ANN, STREAM, 99) == made
    assert bars.held(connection, ANN, STREAM, 100) is None
    assert bars.held(connection, ANN, OTHER, 50) is None
    assert bars.held(connection, BOB, STREAM, 50) is None
    assert bars.guarded_until(connection, [STREAM, OTHER], 99) == {STREAM: 100}
    assert bars.guarded_until(connection, [STREAM, OTHER], 100) == {}


def test_a_bar_from_the_server_holds_for_every_stream_and_guards_none(connection) -> None:
    """A free public stream asks nobody for a token because of it."""
    made = bars.add(connection, ANN, None, None, "charged back", "admin", 1)

    assert bars.held(connection, ANN, OTHER, 9) == made
    assert bars.held(connection, BOB, OTHER, 9) is None
    assert bars.guarded_until(connection, [STREAM, OTHER], 9) == {}


def test_a_bar_that_is_taken_back_or_made_again_holds_once(connection) -> None:
    first = bars.add(connection, ANN, STREAM, None, "one", "admin", 1)
    second = bars.add(connection, ANN, STREAM, 50, "two", "person:x", 2)

    assert bars.get(connection, first.id, STREAM).ended_ms == 2
    assert bars.held(connection, ANN, STREAM, 3) == second
    assert bars.end(connection, second.id, STREAM, 4).ended_ms == 4
    assert bars.end(connection, second.id, STREAM, 9).ended_ms == 4
    assert bars.held(connection, ANN, STREAM, 5) is None
    with pytest.raises(UnknownNameError):
        bars.end(connection, second.id, OTHER, 9)


def test_a_bar_is_staffs_by_who_made_it(connection) -> None:
    creator, support = (persons.create(connection, name, 1).id for name in ("Cre", "Sup"))
    persons.set_roles(connection, support, [Role.SUPPORT])
    makers = ["admin", "key:abc", f"person:{support}", f"person:{creator}"]
    made = [bars.add(connection, ANN, STREAM, None, "x", maker, 1) for maker in makers]

    assert [bars.is_of_staff(connection, bar) for bar in made] == [True, True, True, False]
    assert bars.on(connection, ANN, STREAM, 2) == made[-1]
    assert bars.on(connection, ANN, None, 2) is None


def test_a_bar_of_staff_stays_staffs_when_they_leave(connection) -> None:
    """What they protect people from is not over with their job; who made it reads as before."""
    support = persons.create(connection, "Sup", 1).id
    persons.set_roles(connection, support, [Role.SUPPORT])
    maker = f"person:{support}"
    made = bars.add(connection, ANN, STREAM, None, "x", maker, 1, is_of_staff=True)
    older = bars.add(connection, BOB, STREAM, None, "x", maker, 1)

    persons.set_roles(connection, support, [])

    kept = bars.get(connection, made.id, STREAM)
    assert (bars.is_of_staff(connection, kept), kept.made_by) == (True, maker)
    assert not bars.is_of_staff(connection, older)


@pytest.mark.parametrize(
    ("until_ms", "reason", "fault"),
    [(5, "x", "is past"), (None, " ", "1 to"), (9, "x" * 201, "1 to")],
)
def test_a_bar_without_a_reason_or_with_a_past_end_is_refused(
    connection, until_ms, reason, fault
) -> None:
    with pytest.raises(InvalidValueError, match=fault):
        bars.add(connection, ANN, STREAM, until_ms, reason, "admin", 5)


def test_pages_have_each_bar_once_newest_first(connection) -> None:
    made = [
        bars.add(connection, AccountId(bytes([n]) * 32), STREAM, None, "x", "admin", n)
        for n in range(7)
    ]
    seen, before = [], None
    while page := bars.page(connection, STREAM, 3, before):
        seen += page
        before = page[-1].number

    assert seen == made[::-1]
    assert bars.page(connection, None, 3) == []
