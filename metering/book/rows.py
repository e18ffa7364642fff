"""What every repository of the book shares: its engine, its asset, and small helpers of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, bindparam
from sqlalchemy.exc import InterfaceError, OperationalError

from metering.book.engine import reading
from metering.book.records import SessionRecord
from metering.book.schema import KEY
from metering.errors import BookError, InvalidValueError
from metering.units import AccountId, Asset, EntryKey, Planck, SessionId

IN_MAX = 400
"""Values in one ``IN (...)``: below SQLite's oldest limit of 999 parameters."""

_together: Final[ContextVar[Connection | None]] = ContextVar("together", default=None)
"""The transaction that this thread's calls join, see `together`."""

T = TypeVar("T")


@contextmanager
def together(engine: Engine) -> Iterator[Connection]:
    """Hold one transaction that the repositories' methods join while the block runs.

    A method that fails takes back what it wrote itself; a block that fails takes back all. The
    connection is for tables of others in the same database: this package knows nothing of them.

    Raises:
        BookError: If the database does not answer, is locked for long, or its disk is full.
    """
    with database_errors(), engine.begin() as connection:
        token = _together.set(connection)
        try:
            yield connection
        finally:
            _together.reset(token)


class Repository:
    """Holds the engine of `Book` for one subject of it."""

    def __init__(self, engine: Engine, asset: Asset) -> None:
        self._engine = engine
        self._asset = asset

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """Hold one transaction that may write; it is durable when the block has ended.

        Raises:
            BookError: If the database does not answer, is locked for long, or its disk is full.
        """
        joined = self._joined()
        if joined is not None:
            with database_errors(), joined.begin_nested():
                yield joined
            return
        with database_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """Hold one consistent view.

        Raises:
            BookError: If the database does not answer.
        """
        joined = self._joined()
        if joined is not None:
            with database_errors():
                yield joined
            return
        with database_errors(), reading(self._engine) as connection:
            yield connection

    def _joined(self) -> Connection | None:
        """Return the transaction of `together`, None outside of one, or in one of another book."""
        joined = _together.get()
        return joined if joined is not None and joined.engine is self._engine else None

    def _require_units(self, planck: int, what: str, units_max: int) -> Planck:
        """Return `planck` when it is a whole, bounded number of units.

        Raises:
            InvalidValueError: Names the value and the remedy.
        """
        quantum = self._asset.quantum
        if planck < 0 or planck % quantum:
            raise InvalidValueError(
                f"{what} of {planck} planck: it must be 0 or more and a multiple of the asset's "
                f"quantum, {quantum} planck"
            )
        if planck // quantum > units_max:
            raise InvalidValueError(
                f"{what} of {planck} planck is above {units_max * quantum} planck; "
                "choose a larger [price].quantum_planck"
            )
        return Planck(planck)


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what a database driver raises for faults of its own into a `BookError`."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise BookError(
            f"the book does not answer: {error.orig}; check its disk, its file's rights, or its "
            "server; nothing of this transaction was written"
        ) from error


def key_of(row: Row[Any]) -> EntryKey:
    """Return the entry key of a row that has its four columns."""
    return EntryKey(row.stream, row.account, row.join, row.version)


def key_values(key: EntryKey) -> dict[str, Any]:
    """Return the four columns of an entry key."""
    return {
        "account": key.account,
        "stream": key.stream,
        "join": key.join,
        "version": key.version,
    }


def is_key(table: Table) -> list[ColumnElement[bool]]:
    """Return conditions on an entry key, for many rows at once: see `key_binds`."""
    return [table.c[name] == bindparam(f"key_{name}") for name in KEY]


def key_binds(key: EntryKey) -> dict[str, Any]:
    """Return what `is_key` compares with."""
    return {f"key_{name}": value for name, value in key_values(key).items()}


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield `values` in pieces that fit one statement."""
    for start in range(0, len(values), IN_MAX):
        yield values[start : start + IN_MAX]


def accounts_of(keys: Sequence[EntryKey]) -> list[AccountId]:
    """Return the accounts of some entries, each once, in a stable order."""
    return sorted({key.account for key in keys})


def session_of(row: Row[Any]) -> SessionRecord:
    """Return the session of a row."""
    return SessionRecord(
        SessionId(int(row.session, 16)),
        row.account,
        row.stream,
        row.join,
        row.created_ms,
        row.expires_ms,
        row.ended_ms,
        row.reason,
        row.ends_ms,
        row.own_limit,
        row.began_ms,
    )
