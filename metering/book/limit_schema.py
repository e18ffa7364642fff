"""The tables of viewers' own limits and prices. A change here needs a revision in migrations."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, PrimaryKeyConstraint, Table

from metering.book.schema import AccountBytes, PlanckText, StreamBytes, metadata

viewer_limits = Table(
    "viewer_limits",
    metadata,
    # What a viewer themself allows to be spent; 0 is no limit.
    Column("account", AccountBytes, ForeignKey("viewers.account"), primary_key=True),
    Column("session_planck", PlanckText, nullable=False),
    Column("stream_planck", PlanckText, nullable=False),
    Column("day_planck", PlanckText, nullable=False),
    Column("changed_ms", BigInteger, nullable=False),
)

named_prices = Table(
    "named_prices",
    metadata,
    # What a stream costs one viewer from a second on: a version in `prices` that is theirs alone, 0
    # for nothing, NULL for what it costs everybody.
    Column("stream", StreamBytes, ForeignKey("streams.id"), nullable=False),
    Column("account", AccountBytes, ForeignKey("viewers.account"), nullable=False),
    Column("from_tick", BigInteger, nullable=False),
    Column("version", BigInteger),
    PrimaryKeyConstraint("stream", "account", "from_tick"),
)
