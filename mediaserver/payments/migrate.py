"""Brings the tables of payments up to this program's, in the book's database.

They have revisions of their own, counted in a table of their own: the book knows nothing of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect

from metering.book.book import Book

HEAD: Final = "m0001"
"""Newest revision of these tables; a test compares it with the folder `migrations`."""
VERSION_TABLE: Final = "payments_version"


def is_current(connection: Connection) -> bool:
    """Return whether the tables are this program's."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return False
    query = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 -- a constant
    return connection.exec_driver_sql(query).scalar() == HEAD


def bring_up(book: Book) -> None:
    """Make the tables, or change those of an older program.

    Raises:
        BookError: They were written by a newer program.
    """
    with book.together() as connection:
        if is_current(connection):
            return
        # Only here: alembic is 10 MB, and tables are brought up once in a release.
        from metering.book.migrate import migrate  # noqa: PLC0415

        migrate(connection, Path(__file__).with_name("migrations"), VERSION_TABLE)
