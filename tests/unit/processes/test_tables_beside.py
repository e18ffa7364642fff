"""Tables beside the book's: made by migrations as their schemas say."""

from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, text

from mediaserver.payments import schema as payments
from mediaserver.payments.tables import TABLES as PAYMENTS
from mediaserver.webhooks import schema as webhooks
from mediaserver.webhooks.tables import TABLES as WEBHOOKS
from metering.errors import BookError
from tests.support.book_fixture import make_book

ROOMS = pytest.mark.parametrize(
    ("tables", "schema"), [(PAYMENTS, payments), (WEBHOOKS, webhooks)], ids=["payments", "webhooks"]
)


@ROOMS
def test_the_newest_revision_is_the_one_that_is_expected(tables, schema: Any) -> None:
    assert Path(schema.__file__).parent == tables.folder.parent
    assert ScriptDirectory(str(tables.folder)).get_current_head() == tables.head


@ROOMS
def test_migrations_make_the_tables_of_the_schema(tables, schema: Any) -> None:
    book = make_book().book
    tables.bring_up(book)
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


@ROOMS
def test_tables_of_a_newer_program_are_refused(tables, schema: Any) -> None:
    del schema
    book = make_book().book
    tables.bring_up(book)
    newer = f"UPDATE {tables.version_table} SET version_num = 'x9999'"  # noqa: S608 -- a constant
    with book.together() as connection:
        connection.execute(text(newer))
    with pytest.raises(BookError, match="newer vilokanam"):
        tables.bring_up(book)
