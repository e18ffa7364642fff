"""The tables of webhooks, in the book's database. A change here needs a revision in migrations.

Times are Unix milliseconds.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, Uuid

from metering.book.schema import AccountBytes

metadata: Final = MetaData()

events: Final = Table(
    "webhook_events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("kind", String(40), nullable=False),
    # Whose events are told in order; empty: the server's.
    Column("stream", String(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # As it is sent.
    Column("body", Text, nullable=False),
    Index("webhook_events_by_time", "created_ms"),
)

deliveries: Final = Table(
    "webhook_deliveries",
    metadata,
    Column("target", String(40), primary_key=True),
    Column("event", Integer, primary_key=True),
    Column("stream", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    # Since when it is tried, and not before when again.
    Column("since_ms", BigInteger, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Index("webhook_deliveries_by_state", "target", "state", "stream", "event"),
    Index("webhook_deliveries_by_event", "event"),
)

live: Final = Table(
    "webhook_live",
    metadata,
    # Shows that were told to be live, and not to have ended.
    Column("stream", Uuid, primary_key=True),
    Column("show", BigInteger, nullable=False),
)

low: Final = Table(
    "webhook_low",
    metadata,
    # Whose balance was told to be low or used up on which stream, and not to have been filled.
    Column("account", AccountBytes, primary_key=True),
    Column("stream", Uuid, primary_key=True),
    Column("state", String(8), nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)

bad: Final = Table(
    "webhook_bad",
    metadata,
    # Shows whose health was told to be bad, and not to be good again.
    Column("stream", Uuid, primary_key=True),
    Column("show", BigInteger, nullable=False),
)
