"""The table of what is covered. Beside schema.py, under the same rules."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from metering.book.schema import AccountBytes, StreamBytes, metadata

covered = Table(
    "covered",
    metadata,
    # Seconds that were watched and that a preview covered: billed to nobody. `receipted` are those
    # that a receipt names.
    Column("account", AccountBytes, nullable=False),
    Column("stream", StreamBytes, nullable=False),
    Column("show", BigInteger, nullable=False),
    Column("hour", BigInteger, nullable=False),
    Column("shard", Integer, nullable=False),
    Column("runs", Text, nullable=False),
    Column("receipted", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("account", "stream", "show", "hour"),
    Index("covered_by_shard", "shard", "show"),
    Index("covered_by_show", "stream", "show"),
)
