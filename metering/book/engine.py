"""Opens the database: how durable it is, how transactions begin, and the schema it must have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, create_engine, event, inspect
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from metering.errors import BookError

HEAD: Final = "0019"
"""Newest revision of the schema; a test compares it with the folder `migrations`."""
_BUSY_MS = 10_000
"""How long a writer waits for another: far above any transaction of ours, below a time-out."""


def open_engine(url: str) -> Engine:
    """Return the engine of a book, its schema brought up to this program's.

    Raises:
        BookError: If it cannot be opened, or was written by a newer program; says what to do.
    """
    engine: Engine | None = None
    try:
        engine = _create(url)
        _bring_up(engine)
        opened, engine = engine, None
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise BookError(
            f"the book's URL cannot be used ({error}); use sqlite:///<file>, or install the driver"
        ) from error
    except DBAPIError as error:
        raise BookError(
            f"the book cannot be opened: {error.orig}; check that its file or server is there, "
            "is a database of ours, and that the server's user may write to it"
        ) from error
    finally:
        if engine is not None:  # refused: its connection is not left to the garbage collection
            engine.dispose()
    return opened


def _bring_up(engine: Engine) -> None:
    with engine.begin() as connection:
        if _revision(connection) != HEAD:
            # Only here: alembic is 10 MB, and a book is brought up once in a release.
            from metering.book.migrate import migrate  # noqa: PLC0415

            migrate(connection)


def is_current(url: str) -> bool:
    """Return whether a database with this program's schema exists; False if it cannot be read."""
    try:
        engine = _create(url)
        try:
            with reading(engine) as connection:
                return _revision(connection) == HEAD
        finally:
            engine.dispose()
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, DBAPIError):
        return False


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Hold one consistent view of the book."""
    with engine.connect().execution_options(is_reading=True) as connection, connection.begin():
        yield connection


def leave_no_trace(engine: Engine) -> bool:
    """Empty the write-ahead log, which has what was erased from the file as it was before.

    Returns:
        False while a reader keeps it: the log is written over later.
    """
    if engine.dialect.name != "sqlite":
        return True  # PostgreSQL's vacuum and log are its operator's
    connection = engine.raw_connection()  # outside of any transaction
    try:
        cursor = connection.cursor()
        is_busy: int = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cursor.close()
    finally:
        connection.close()
    return not is_busy


def upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], changed: Iterable[str]
) -> None:
    """Insert rows; where the primary key exists already, set the `changed` columns instead."""
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # Only here: it is 3 MB, and most books are files.
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        statement: Any = postgresql.insert(table)
    else:
        statement = sqlite.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key.columns],
        set_={name: statement.excluded[name] for name in changed},
    )
    connection.execute(statement, rows)


def _create(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url)
    is_memory = url in ("sqlite://", "sqlite:///:memory:")
    engine = (
        create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
        if is_memory
        else create_engine(url)
    )

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # we begin transactions ourselves, DDL included
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            # What is erased is written over with zeros: it is somebody's name.
            "secure_delete=ON",
            f"busy_timeout={_BUSY_MS}",
        ):
            dbapi.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A writer takes its lock at once: a lock taken later can fail when another came between.
        is_reading = connection.get_execution_options().get("is_reading", False)
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    return engine


def _revision(connection: Connection) -> str | None:
    """Return the revision of the schema, None when there is none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql(
        "SELECT version_num FROM alembic_version"
    ).scalar()
    return revision
