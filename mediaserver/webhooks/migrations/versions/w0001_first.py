"""What is told to the operator's servers.

Revision: w0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "w0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "webhook_events",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("webhook_events_by_time", "webhook_events", ["created_ms"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("target", sa.String(40), nullable=False),
        sa.Column("event", sa.Integer(), nullable=False),
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("target", "event"),
    )
    op.create_index(
        "webhook_deliveries_by_state",
        "webhook_deliveries",
        ["target", "state", "stream", "event"],
    )
    op.create_index("webhook_deliveries_by_event", "webhook_deliveries", ["event"])
    op.create_table(
        "webhook_live",
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
    )
