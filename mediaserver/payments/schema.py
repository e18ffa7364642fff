"""The tables of payments, in the book's database. A change here needs a revision in migrations.

Times are Unix milliseconds. Amounts are in a provider's minor units; as text, as the demo's are
planck and outgrow 64 bits.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from metering.book.schema import AccountBytes, PlanckText

metadata: Final = MetaData()

orders = Table(
    "payment_orders",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("account", AccountBytes, nullable=False),
    Column("person", String(32), nullable=True),
    Column("provider", String(16), nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("currency", String(12), nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("state", String(16), nullable=False),
    Column("payment", String(200), nullable=True),
    Column("pay_url", Text, nullable=False),
    Column("idempotency_key", String(200), nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("paid_ms", BigInteger, nullable=True),
    UniqueConstraint("provider", "payment"),
    UniqueConstraint("person", "idempotency_key"),
    Index("payment_orders_by_account", "account", "number"),
    Index("payment_orders_by_state", "state", "number"),
)

notices = Table(
    "payment_notices",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("provider", String(16), nullable=False),
    Column("event", String(200), nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("kind", String(100), nullable=False),
    Column("status", String(16), nullable=False),
    Column("order", String(200), nullable=False),
    Column("payment", String(200), nullable=False),
    Column("amount", PlanckText, nullable=True),
    Column("currency", String(12), nullable=False),
    Column("is_live", Boolean, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("provider", "event"),
    Index("payment_notices_by_payment", "provider", "payment"),
    Index("payment_notices_by_order", "order"),
    Index("payment_notices_by_outcome", "outcome", "number"),
)
