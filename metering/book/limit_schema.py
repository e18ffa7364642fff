"""The table of viewers' own limits. A change here needs a revision in migrations/versions."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Table

from metering.book.schema import AccountBytes, PlanckText, metadata

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
