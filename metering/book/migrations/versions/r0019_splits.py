"""What a stream earns is shared among several payees.

Revision: 0019, after 0018.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; a pass remembers by which of them its price was shared."""
    op.create_table(
        "split_tables",
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("from_tick", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "number"),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
        sa.UniqueConstraint("stream", "from_tick"),
    )
    op.create_table(
        "split_shares",
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("ppm", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "number", "position"),
        sa.ForeignKeyConstraint(
            ["stream", "number"], ["split_tables.stream", "split_tables.number"]
        ),
    )
    op.create_index("split_shares_by_account", "split_shares", ["account", "stream"])
    op.add_column(
        "passes", sa.Column("split", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
