"""What is never billed: seconds unpaid or forgiven, and the floors of a restored book.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both tables; nothing is moved."""
    op.create_table(
        "unbilled",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "stream", "hour"),
    )
    op.create_index("unbilled_by_shard", "unbilled", ["shard", "hour"], unique=False)
    op.create_table(
        "floors",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.String(length=32), nullable=False),
        sa.Column("from_tick", sa.BigInteger(), nullable=False),
        sa.Column("to_tick", sa.BigInteger(), nullable=False),
        sa.Column("found_ms", sa.BigInteger(), nullable=False),
        sa.Column("lost_ticks", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "epoch"),
    )
