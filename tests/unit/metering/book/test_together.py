"""Several methods of the book, and tables of others, in one transaction."""

import pytest
from sqlalchemy import text

from metering.book.rows import Repository
from metering.errors import InvalidValueError
from metering.units import Planck
from tests.support.book_fixture import make_book


def names(fixture) -> list[str]:
    return [viewer.name for viewer in fixture.book.viewers.all()]


def rows(fixture) -> int:
    with fixture.book.viewing() as connection:
        return connection.execute(text("SELECT count(*) FROM notes")).scalar_one()


@pytest.fixture(params=["memory", "file"])
def fixture(request, tmp_path):
    url = "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'book.sqlite3'}"
    made = make_book(url)
    with made.book.together() as connection:
        connection.execute(text("CREATE TABLE notes (word TEXT)"))
    return made


def fail_after(book, write) -> None:
    with book.together() as connection:
        write(connection)
        raise ZeroDivisionError


def test_a_block_that_fails_takes_back_what_methods_and_others_wrote(fixture) -> None:
    seen = []

    def write(connection) -> None:
        record, _ = fixture.book.viewers.create("ann", None, 1)
        fixture.book.deposits.add(record.account, Planck(10**6), "key", "", 1)
        connection.execute(text("INSERT INTO notes VALUES ('ann came')"))
        seen.extend(names(fixture))  # a method within reads what is written within

    with pytest.raises(ZeroDivisionError):
        fail_after(fixture.book, write)

    assert "ann" in seen

    assert names(fixture) == ["viewer 0"]
    assert rows(fixture) == 0


def test_what_a_block_wrote_is_there_at_its_end(fixture) -> None:
    with fixture.book.together() as connection:
        fixture.book.viewers.create("ann", None, 1)
        connection.execute(text("INSERT INTO notes VALUES ('ann came')"))

    assert names(fixture) == ["ann", "viewer 0"]
    assert rows(fixture) == 1


def test_a_method_that_fails_within_takes_back_its_own_alone(fixture) -> None:
    with fixture.book.together() as connection:
        fixture.book.viewers.create("ann", None, 1)
        with pytest.raises(InvalidValueError):
            fixture.book.viewers.create("ann", None, 2)
        connection.execute(text("INSERT INTO notes VALUES ('ann came')"))

    assert names(fixture) == ["ann", "viewer 0"]
    assert rows(fixture) == 1


class Half(Repository):
    """Fails when half of what it writes is written."""

    def write(self) -> None:
        with self._writing() as connection:
            connection.execute(text("INSERT INTO notes VALUES ('half')"))
            raise ZeroDivisionError


def test_a_method_that_fails_half_way_within_leaves_no_half(fixture) -> None:
    half = Half(fixture.book._engine, fixture.book.asset)
    with fixture.book.together() as connection:
        with pytest.raises(ZeroDivisionError):
            half.write()
        connection.execute(text("INSERT INTO notes VALUES ('whole')"))

    assert rows(fixture) == 1


def test_another_book_is_not_joined(fixture, tmp_path) -> None:
    other = make_book(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    with pytest.raises(ZeroDivisionError):
        fail_after(fixture.book, lambda _: other.book.viewers.create("bob", None, 1))

    assert names(other) == ["bob", "viewer 0"]
