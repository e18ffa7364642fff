"""Streams that are archived, and names that streams had.

Revision: p0007, after p0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p0007"
down_revision = "p0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "stream_archive",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("was_enabled", sa.Boolean(), nullable=False),
        sa.Column("archived_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
    )
    op.create_table(
        "stream_old_names",
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("renamed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("slug"),
    )
    op.create_index("stream_old_names_by_stream", "stream_old_names", ["stream"])
