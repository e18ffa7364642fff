"""Tables that others keep in the book's database, with revisions of their own.

The book knows nothing of what they hold: only where their revisions lie, and in which table the
newest is written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect

from metering.book.book import Book


@dataclass(frozen=True, slots=True)
class TablesBeside:
    """One room's tables.

    Attributes:
        folder: Its revisions and their ``env.py``.
        version_table: Where its newest revision is written down; a constant of the program.
        head: The newest revision that this program knows.
    """

    folder: Path
    version_table: str
    head: str

    def is_current(self, connection: Connection) -> bool:
        """Return whether the tables are this program's."""
        if not inspect(connection).has_table(self.version_table):
            return False
        query = f"SELECT version_num FROM {self.version_table}"  # noqa: S608 -- a constant
        return connection.exec_driver_sql(query).scalar() == self.head

    def bring_up(self, book: Book) -> None:
        """Make the tables, or change those of an older program.

        Raises:
            BookError: They were written by a newer program.
        """
        with book.together() as connection:
            if self.is_current(connection):
                return
            # Only here: alembic is 10 MB, and tables are brought up once in a release.
            from metering.book.migrate import migrate  # noqa: PLC0415

            migrate(connection, self.folder, self.version_table)
