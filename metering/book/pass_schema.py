"""The tables of passes. Beside schema.py, under the same rules."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

pass_offers = Table(
    "pass_offers",
    metadata,
    # What a pass for a show, or a month, costs from a time on; 0 is no longer sold.
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("from_s", BigInteger, nullable=False),
    Column("planck", PlanckText, nullable=False),
    PrimaryKeyConstraint("stream", "kind", "from_s"),
)

passes = Table(
    "passes",
    metadata,
    # Passes that were bought. One that is not paid yet was asked of the store: it is posted when
    # the store has it, and gone when the store has not. `shard` is the account's.
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("idempotency_key", String(200), nullable=False),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("show", BigInteger, nullable=False),
    Column("from_tick", BigInteger, nullable=False),
    Column("until_tick", BigInteger, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("platform_fee_ppm", Integer, nullable=False),
    Column("creator", AccountBytes, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("is_paid", Boolean, nullable=False),
    Column("refunded_ms", BigInteger),
    Column("why", Text, nullable=False, server_default=""),
    Column("split", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("account", "idempotency_key"),
    Index("passes_by_shard", "shard"),
    Index("passes_by_account", "account", "number"),
    Index("passes_by_stream", "stream", "number"),
    Index("passes_by_paid", "is_paid"),
)
