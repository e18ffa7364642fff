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
    text,
)

from metering.book.schema import AccountBytes, PlanckText, StreamBytes

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
    # Of the refund or dispute; empty where it names none.
    Column("reversal", String(200), nullable=False, server_default=text("''")),
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

reversals = Table(
    "payment_reversals",
    metadata,
    # Refunds and disputes of payments, also of those that are not booked.
    Column("number", Integer, primary_key=True),
    Column("provider", String(16), nullable=False),
    Column("payment", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("id", String(200), nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("currency", String(12), nullable=False),
    Column("is_total", Boolean, nullable=False),
    Column("is_undone", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("provider", "kind", "id", "currency", "is_total"),
    Index("payment_reversals_by_payment", "provider", "payment"),
)

refunds = Table(
    "payment_refunds",
    metadata,
    # What we ask a provider to give back.
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("order", String(32), nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("why", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reference", String(200), nullable=True),
    Column("detail", Text, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("idempotency_key", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger, nullable=True),
    # Which withdrawal it is a part of.
    Column("withdrawal", String(32), nullable=True),
    UniqueConstraint("made_by", "idempotency_key"),
    Index("payment_refunds_by_order", "order"),
    Index("payment_refunds_by_state", "state", "number"),
    Index("payment_refunds_by_account", "account", "number"),
    Index("payment_refunds_by_withdrawal", "withdrawal"),
)

withdrawals = Table(
    "payment_withdrawals",
    metadata,
    # What somebody took out of their balance; its parts are refunds.
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("account", AccountBytes, nullable=False),
    Column("person", String(32), nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("currency", String(12), nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("idempotency_key", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("person", "idempotency_key"),
    Index("payment_withdrawals_by_account", "account", "number"),
)

payouts = Table(
    "payment_payouts",
    metadata,
    # What creators and payees ask to be paid of their earnings; once paid, it is in the book by
    # the same id. No account is the creator's.
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("stream", StreamBytes, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("currency", String(12), nullable=False),
    Column("currency_decimals", Integer, nullable=False),
    Column("payee", String(70), nullable=False),
    Column("bank_account", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reference", String(200), nullable=True),
    Column("why", Text, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("idempotency_key", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger, nullable=True),
    Column("paid_ms", BigInteger, nullable=True),
    Column("account", AccountBytes, nullable=True),
    UniqueConstraint("stream", "idempotency_key"),
    Index("payment_payouts_by_state", "state", "number"),
    Index("payment_payouts_by_stream", "stream", "number"),
    Index("payment_payouts_by_account", "account", "number"),
)

auto_top_ups = Table(
    "payment_auto_top_ups",
    metadata,
    # What viewers allow to be paid by itself when their balance is low.
    Column("person", String(32), primary_key=True),
    Column("account", AccountBytes, nullable=False),
    Column("provider", String(16), nullable=False),
    Column("currency", String(12), nullable=False),
    Column("threshold", PlanckText, nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("day_max", PlanckText, nullable=False),
    Column("month_max", PlanckText, nullable=False),
    Column("state", String(16), nullable=False),
    # The provider's ids of what it charges; nothing without our key.
    Column("means", String(400), nullable=False),
    Column("why", Text, nullable=False),
    Column("setup_order", String(32), nullable=True),
    Column("crossing", Integer, nullable=False),
    Column("is_low", Boolean, nullable=False),
    Column("declined", Integer, nullable=False),
    Column("is_told", Boolean, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
    Index("payment_auto_top_ups_by_state", "state", "account"),
    Index("payment_auto_top_ups_by_order", "setup_order"),
)

auto_charges = Table(
    "payment_auto_charges",
    metadata,
    # What was asked for by itself: orders of the same id, one for each crossing.
    Column("number", Integer, primary_key=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("person", String(32), nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("crossing", Integer, nullable=False),
    Column("provider", String(16), nullable=False),
    Column("amount", PlanckText, nullable=False),
    Column("currency", String(12), nullable=False),
    Column("means", String(400), nullable=False),
    Column("state", String(16), nullable=False),
    Column("reference", String(200), nullable=True),
    Column("detail", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("done_ms", BigInteger, nullable=True),
    UniqueConstraint("person", "crossing"),
    Index("payment_auto_charges_by_person", "person", "created_ms"),
    Index("payment_auto_charges_by_state", "state", "next_ms"),
)
