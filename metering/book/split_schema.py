"""The tables of split tables. Beside schema.py, under the same rules."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from metering.book.schema import AccountBytes, StreamBytes, metadata

split_tables = Table(
    "split_tables",
    metadata,
    # Who else earns of a stream from a second on: for the price versions that begin then or later.
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("from_tick", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream", "number"),
    UniqueConstraint("stream", "from_tick"),
)

split_shares = Table(
    "split_shares",
    metadata,
    # The payees of a table, in its order. A payee need not be a viewer here.
    Column("stream", StreamBytes, nullable=False),
    Column("number", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("ppm", Integer, nullable=False),
    PrimaryKeyConstraint("stream", "number", "position"),
    ForeignKeyConstraint(["stream", "number"], ["split_tables.stream", "split_tables.number"]),
    Index("split_shares_by_account", "account", "stream"),
)
