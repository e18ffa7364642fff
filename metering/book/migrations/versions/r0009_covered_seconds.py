"""What a preview covers: seconds watched and billed to nobody, and how many a stream allows.

Revision: 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("streams", sa.Column("preview_s", sa.Integer()))
    op.create_table(
        "covered",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("receipted", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("account", "stream", "show", "hour"),
    )
    op.create_index("covered_by_shard", "covered", ["shard", "show"], unique=False)
    op.create_index("covered_by_show", "covered", ["stream", "show"], unique=False)
