"""The table of what went back of deposits. Beside schema.py, under the same rules."""

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
)

from metering.book.schema import AccountBytes, PlanckText, metadata

deposit_returns = Table(
    "deposit_returns",
    metadata,
    # Positive went back, negative is here again. Kind and reference are those of its transfer.
    Column("number", Integer, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("deposit", String(200), ForeignKey("deposits.idempotency_key"), nullable=False),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("why", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    UniqueConstraint("kind", "reference"),
    Index("deposit_returns_by_account", "account"),
    Index("deposit_returns_by_deposit", "deposit"),
)
