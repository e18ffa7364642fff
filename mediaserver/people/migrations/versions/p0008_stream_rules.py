"""From where streams may be watched, and the page that a player was last minted on.

Revision: p0008, after p0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p0008"
down_revision = "p0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table and the column."""
    op.create_table(
        "people_stream_rules",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
    )
    op.add_column(
        "people_players",
        sa.Column("referrer", sa.String(length=253), nullable=False, server_default=""),
    )
