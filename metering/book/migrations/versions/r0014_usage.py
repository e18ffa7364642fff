"""Who watched when, by the minute: what the book has already is rolled up by and by.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; what was merged into history waits in one of them."""
    op.create_table(
        "viewer_hours",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("minutes", sa.LargeBinary(length=60), nullable=False),
        sa.Column("ticks", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "hour", "account", "version"),
    )
    op.create_index("viewer_hours_by_revision", "viewer_hours", ["revision"])
    op.create_index("viewer_hours_by_stream", "viewer_hours", ["stream", "revision"])
    op.create_index("viewer_hours_by_account", "viewer_hours", ["account", "revision"])
    op.create_index("viewer_hours_by_hour", "viewer_hours", ["hour"])
    op.create_table(
        "stream_minutes",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False),
        sa.Column("viewers", sa.Integer(), nullable=False),
        sa.Column("peak", sa.Integer(), nullable=False),
        sa.Column("ticks", sa.BigInteger(), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("seconds", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "minute"),
    )
    op.create_index("stream_minutes_by_minute", "stream_minutes", ["minute"])
    op.create_table(
        "usage_backlog",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute(
        sa.text(
            "INSERT INTO usage_backlog (account, stream, version, runs) "
            "SELECT account, stream, version, runs FROM history"
        )
    )
