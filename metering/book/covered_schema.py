"""The tables of what is covered, and of what a show costs. Under the rules of schema.py."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

covered = Table(
    "covered",
    metadata,
    # Seconds that were watched and that are billed to nobody, by why. `receipted` are those that a
    # receipt names.
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("show", BigInteger, nullable=False),
    Column("hour", BigInteger, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("runs", Text, nullable=False),
    Column("receipted", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("account", "stream", "show", "hour", "cause"),
    Index("covered_by_shard", "shard", "show"),
    Index("covered_by_show", "stream", "show"),
)

show_caps = Table(
    "show_caps",
    metadata,
    # What a show costs an account at most, for shows from this one on; 0 is no cap.
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("from_show", BigInteger, nullable=False),
    Column("planck", PlanckText, nullable=False),
    PrimaryKeyConstraint("stream", "from_show"),
)

counted_shows = Table(
    "counted_shows",
    metadata,
    # Shows of which is counted what they cost an account, since a cap holds for them or for one
    # before.
    Column("stream", StreamBytes, nullable=False),
    Column("show", BigInteger, nullable=False),
    PrimaryKeyConstraint("stream", "show"),
)
