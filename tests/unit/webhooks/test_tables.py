"""The tables of webhooks: made by migrations as the schema says."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, inspect, text

from mediaserver.webhooks import migrations, schema
from mediaserver.webhooks.tables import TABLES
from metering.errors import BookError
from tests.support.book_fixture import make_book


def test_the_newest_revision_is_the_one_that_is_expected() -> None:
    folder = str(Path(migrations.__file__).parent)
    assert ScriptDirectory(folder).get_current_head() == TABLES.head


def test_migrations_make_the_tables_of_the_schema() -> None:
    book = make_book().book
    TABLES.bring_up(book)
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


def test_tables_of_a_newer_program_are_refused() -> None:
    book = make_book().book
    TABLES.bring_up(book)
    with book.together() as connection:
        connection.execute(text("UPDATE webhooks_version SET version_num = 'w9999'"))
    with pytest.raises(BookError, match="newer vilokanam"):
        TABLES.bring_up(book)
