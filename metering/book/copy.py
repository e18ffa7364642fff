"""Copies of a book's file: made while it is written to, and judged by SQLite itself."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from metering.errors import BookError


def copy_book(source: Path, target: Path) -> None:
    """Write a consistent copy of a book, as of one moment, to a file that is not there yet.

    A server may go on writing: SQLite's own backup reads one snapshot of the write-ahead log.

    Raises:
        BookError: The book cannot be read, or the copy cannot be written.
    """
    if not source.is_file():
        raise BookError(f"there is no book at {source}")
    try:
        with (
            contextlib.closing(sqlite3.connect(_uri(source), uri=True)) as book,
            contextlib.closing(sqlite3.connect(target)) as made,
        ):
            book.backup(made)
            # One file, without a log beside it: that is what is carried away.
            made.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise BookError(f"the book {source} cannot be copied to {target}: {error}") from error


def check_book(path: Path, name: Path | None = None) -> str:
    """Return the schema version of a whole book.

    Args:
        name: What people know it by, where `path` is a copy of it.

    Raises:
        BookError: It is damaged, or no book; says what SQLite found.
    """
    try:
        with contextlib.closing(sqlite3.connect(_uri(path), uri=True)) as book:
            lines = [str(line) for (line,) in book.execute("PRAGMA integrity_check(5)")]
            if lines != ["ok"]:
                raise _damaged(name or path, "; ".join(lines))
            (version,) = book.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.Error, TypeError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise _damaged(name or path, str(error)) from error
        raise BookError(f"{name or path} is no book: {error}") from error
    return str(version)


def _damaged(path: Path, reason: str) -> BookError:
    return BookError(f"{path} is damaged: {reason}; restore the newest backup that is whole")


def _uri(path: Path) -> str:
    return f"{path.absolute().as_uri()}?mode=ro"
