"""The table of what was paid out to creators. Beside schema.py, under the same rules."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

creator_payouts = Table(
    "creator_payouts",
    metadata,
    # The reference is that of its transfer, of kind "payout".
    Column("number", Integer, primary_key=True),
    Column("reference", String(200), nullable=False, unique=True),
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("creator_payouts_by_stream", "stream"),
)
