"""The tables of who watched when, by the minute. Beside schema.py, under the same rules.

All of it is derived from the ticks of cuts, in the order in which these were booked.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

viewer_hours = Table(
    "viewer_hours",
    metadata,
    # A viewer's ticks of a stream in an hour, at one price version. `minutes` has a byte for each
    # minute of the hour: its ticks, 0 to 60. `revision` is the roll that changed the row last.
    Column("stream", StreamBytes, nullable=False),
    Column("hour", BigInteger, nullable=False),
    Column("account", AccountBytes, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("minutes", LargeBinary(60), nullable=False),
    Column("ticks", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream", "hour", "account", "version"),
    Index("viewer_hours_by_revision", "revision"),
    Index("viewer_hours_by_stream", "stream", "revision"),
    Index("viewer_hours_by_account", "account", "revision"),
    Index("viewer_hours_by_hour", "hour"),
)

stream_minutes = Table(
    "stream_minutes",
    metadata,
    # What all viewers watched of a stream in a minute (tick // 60). `seconds` is how many watched
    # each of its seconds, as lengths of equal ones: ``0x12,5x48``.
    Column("stream", StreamBytes, nullable=False),
    Column("minute", BigInteger, nullable=False),
    Column("viewers", Integer, nullable=False),
    Column("peak", Integer, nullable=False),
    Column("ticks", BigInteger, nullable=False),
    Column("planck", PlanckText, nullable=False),
    Column("seconds", Text, nullable=False),
    PrimaryKeyConstraint("stream", "minute"),
    Index("stream_minutes_by_minute", "minute"),
)

usage_backlog = Table(
    "usage_backlog",
    metadata,
    # Hours that were merged into history before this program counted minutes: they are rolled up
    # once, and are no more then.
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("runs", Text, nullable=False),
)
