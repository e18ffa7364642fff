"""Tables of what came from the chain: how far it was read, escrow, withdrawals, joins.

Beside schema.py, under the same rules.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

chain_cursor = Table(
    "chain_cursor",
    metadata,
    # One row: the newest finalized block whose events are in the book.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("genesis", LargeBinary(32), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("at_s", BigInteger, nullable=False),
)

escrow_events = Table(
    "escrow_events",
    metadata,
    # Of finalized blocks only, of any account: one that is not known yet may be added later.
    Column("number", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("ready_s", BigInteger),
    PrimaryKeyConstraint("number", "position"),
    Index("escrow_events_by_account", "account"),
)

frozen = Table(
    "frozen",
    metadata,
    # What a viewer requests to withdraw from escrow, as of the cursor.
    Column("account", AccountBytes, primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("ready_s", BigInteger),
    Index("frozen_by_shard", "shard"),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("reference", String(200), primary_key=True),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("withdrawals_by_account", "account"),
)

joins = Table(
    "joins",
    metadata,
    # Times are seconds of the chain's clock.
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("max_spend", PlanckText, nullable=False),
    Column("max_price", PlanckText, nullable=False),
    Column("joined_s", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("ended_s", BigInteger),
    PrimaryKeyConstraint("account", "stream", "number"),
    Index("joins_by_shard", "shard"),
    Index("joins_by_stream", "stream"),
)

held_calls = Table(
    "held_calls",
    metadata,
    # Calls made for viewers whose keys are in the book: written before they are signed.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", String(200), nullable=False, unique=True),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("nonce", BigInteger),
    Column("created_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger),
    Column("trouble", Text),
    Index("held_calls_by_account", "account", "id"),
)
