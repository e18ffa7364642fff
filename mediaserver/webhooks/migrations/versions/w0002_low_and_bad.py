"""Whose balance was told to be low, and which shows to be unwell.

Revision: w0002, after w0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "w0002"
down_revision = "w0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "webhook_low",
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "stream"),
    )
    op.create_table(
        "webhook_bad",
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
    )
