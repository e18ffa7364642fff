"""The tables of bad seconds, and of what was given back of them. Under the rules of schema.py."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

bad_seconds = Table(
    "bad_seconds",
    metadata,
    # A standing rule on a range of a stream's ticks; seconds and planck are sums of `given_back`.
    Column("number", Integer, primary_key=True),
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("key", String(200), nullable=False),
    Column("show", BigInteger),
    Column("first_tick", BigInteger, nullable=False),
    Column("end_tick", BigInteger, nullable=False),
    Column("why", Text, nullable=False),
    Column("made_by", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("seconds", BigInteger, nullable=False),
    Column("planck", PlanckText, nullable=False),
    UniqueConstraint("stream", "key"),
)

given_back = Table(
    "given_back",
    metadata,
    # Ticks of an entry that a rule gave back, and the receipt that names them. `seq` is the batch
    # that settled them; NULL: they had settled when the rule was made.
    Column("number", Integer, primary_key=True),
    Column("rule", Integer, ForeignKey("bad_seconds.number"), nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("join", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("seq", BigInteger),
    Column("runs", Text, nullable=False),
    Column("ticks", BigInteger, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("receipt", BigInteger),
    Index("given_back_by_account", "account", "stream"),
    Index("given_back_by_rule", "rule"),
    Index("given_back_by_batch", "seq"),
    Index("given_back_without_receipt", "account", "stream", sqlite_where=text("receipt IS NULL")),
)
