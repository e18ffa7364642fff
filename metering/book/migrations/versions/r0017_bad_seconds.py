"""Bad seconds, and what was given back of them.

Revision: 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and find what was watched of a stream by its hours."""
    op.create_table(
        "bad_seconds",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("show", sa.BigInteger()),
        sa.Column("first_tick", sa.BigInteger(), nullable=False),
        sa.Column("end_tick", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
        sa.UniqueConstraint("stream", "key"),
    )
    op.create_table(
        "given_back",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rule", sa.Integer(), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("join", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger()),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("ticks", sa.BigInteger(), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.BigInteger()),
        sa.PrimaryKeyConstraint("number"),
        sa.ForeignKeyConstraint(["rule"], ["bad_seconds.number"]),
    )
    op.create_index("given_back_by_account", "given_back", ["account", "stream"])
    op.create_index("given_back_by_rule", "given_back", ["rule"])
    op.create_index("given_back_by_batch", "given_back", ["seq"])
    none_yet = sa.text("receipt IS NULL")
    op.create_index(
        "given_back_without_receipt",
        "given_back",
        ["account", "stream"],
        sqlite_where=none_yet,
        postgresql_where=none_yet,
    )
    op.create_index("history_by_stream", "history", ["stream", "hour"])
