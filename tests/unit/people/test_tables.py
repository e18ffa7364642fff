"""The tables of people: made by migrations as the schema says, and the audit log's own rules."""

import asyncio
import hashlib
import threading
from dataclasses import replace
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, text
from sqlalchemy.exc import IntegrityError

from mediaserver.people import audit, migrations, schema
from mediaserver.people.records import AuditEntry
from mediaserver.people.service import People
from mediaserver.people.tables import TABLES
from metering.book.async_book import AsyncBook
from metering.errors import BookError
from metering.units import Asset
from tests.support.people_fixture import make_people

FIRST: dict[str, Any] = {
    "actor": "admin",
    "action": "stream.create",
    "target": "stream:1",
    "address": "192.0.2.7",
}


@pytest.fixture
def book():
    return make_people().book


def add(book, **changed) -> AuditEntry:
    with book.together() as connection:
        return audit.add(connection, at_ms=5, **(FIRST | changed))


def test_the_newest_revision_is_the_one_that_is_expected() -> None:
    from pathlib import Path

    folder = str(Path(migrations.__file__).parent)
    assert ScriptDirectory(folder).get_current_head() == TABLES.head


def test_migrations_make_the_tables_of_the_schema(book) -> None:
    with book.viewing() as connection:
        made = MetaData()
        made.reflect(connection, only=list(schema.metadata.tables))
        for name, table in schema.metadata.tables.items():
            there = made.tables[name]
            assert {(c.name, c.nullable, c.primary_key) for c in table.columns} == {
                (c.name, c.nullable, c.primary_key) for c in there.columns
            }, name
            indexes = {index.name for index in table.indexes}
            assert indexes == {item["name"] for item in inspect(connection).get_indexes(name)}


def test_tables_of_a_newer_program_are_refused(book) -> None:
    with book.together() as connection:
        connection.execute(text("UPDATE people_version SET version_num = 'p9999'"))
    with pytest.raises(BookError, match="newer vilokanam"):
        TABLES.bring_up(book)


def test_the_log_is_a_chain_from_its_first_entry_on(book) -> None:
    made = [add(book, target=f"stream:{number}") for number in range(5)]
    with book.viewing() as connection:
        assert audit.verify(connection) == ("", None)
        page = audit.page(connection)
    assert [entry.number for entry in page] == [1, 2, 3, 4, 5]
    assert [entry.hash for entry in page] == [entry.hash for entry in made]
    assert len({entry.hash for entry in made}) == 5


def test_a_long_log_is_read_in_pages(book) -> None:
    with book.together() as connection:
        for _ in range(audit.PAGE_MAX + 1):
            audit.add(connection, at_ms=5, **FIRST)
    with book.viewing() as connection:
        fault, link = audit.verify(connection)
        assert link is not None
        assert (fault, link.number) == ("", audit.PAGE_MAX + 1)
        assert audit.verify(connection, link) == ("", None)
        assert "is not the one" in audit.verify(connection, replace(link, previous=b"x"))[0]


async def test_a_long_log_is_checked_while_the_book_is_at_work(tmp_path) -> None:
    """Its thread is everybody's: credits and links do not wait for who checks the log."""
    book = await AsyncBook.open(f"sqlite:///{tmp_path / 'book'}", Asset())
    people, busy = People(book), threading.Event()
    await people.open()
    at_work = asyncio.create_task(book.run(lambda _: busy.wait(30)))
    try:
        async with asyncio.timeout(10):
            assert await people.verify() == ""
        assert not at_work.done()
    finally:
        busy.set()
        await at_work
        await book.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'key:1' WHERE number = 2",
        "UPDATE audit SET after = '{}' WHERE number = 2",
        "UPDATE audit SET hash = x'00' WHERE number = 2",
        "DELETE FROM audit WHERE number = 2",
    ],
)
def test_the_database_itself_refuses_a_change_of_the_log(book, statement) -> None:
    for _ in range(3):
        add(book)
    with pytest.raises(IntegrityError), book.together() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE audit SET actor = 'key:1' WHERE number = 2", "entry 2 is not the one"),
        ("UPDATE audit SET at_ms = 6 WHERE number = 3", "entry 3 is not the one"),
        ("DELETE FROM audit WHERE number = 2", "entry 2 is missing"),
        ("DELETE FROM audit WHERE number = 1", "entry 1 is missing"),
        ("UPDATE audit SET address = '192.0.2.8' WHERE number = 1", "another address"),
    ],
)
def test_who_goes_around_the_triggers_is_found(book, statement, fault) -> None:
    for _ in range(3):
        add(book, after={"n": 1})
    with book.together() as connection:
        connection.execute(text("DROP TRIGGER audit_is_kept"))
        connection.execute(text("DROP TRIGGER audit_stays"))
        connection.execute(text(statement))
    with book.viewing() as connection:
        assert fault in audit.verify(connection)[0]


def test_an_address_can_be_erased_and_the_chain_is_whole(book) -> None:
    """It is a person's data; the trigger lets it go, the hash does not need it."""
    add(book)
    add(book, actor="person:1", address="192.0.2.9")
    with book.together() as connection:
        connection.execute(
            text("UPDATE audit SET address = '', salt = x'' WHERE actor = 'person:1'")
        )
    with book.viewing() as connection:
        assert [entry.address for entry in audit.page(connection)] == ["192.0.2.7", ""]
        assert audit.verify(connection) == ("", None)


def test_what_a_work_takes_back_leaves_no_entry(book) -> None:
    def fail() -> None:
        with book.together() as connection:
            audit.add(connection, at_ms=5, **FIRST)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with book.viewing() as connection:
        assert audit.page(connection) == []


def test_the_hash_is_of_what_the_page_on_it_says() -> None:
    """docs/api.md tells how to check an exported log without us."""
    digest = audit.entry_hash(
        bytes(32), 1, 5, "admin", "key.make", "key:a", "{}", '{"scopes":["money:read"]}', b"h" * 32
    )
    plain = (
        f'["{bytes(32).hex()}",1,5,"admin","key.make","key:a","{{}}",'
        f'"{{\\"scopes\\":[\\"money:read\\"]}}","{(b"h" * 32).hex()}"]'
    )
    assert digest == hashlib.sha256(plain.encode()).digest()
