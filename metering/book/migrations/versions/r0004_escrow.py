"""What comes from the chain, and the calls made for viewers whose keys we hold.

Revision: 0004, after 0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the six tables; nothing is moved."""
    op.create_table(
        "chain_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("genesis", sa.LargeBinary(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "escrow_events",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.Column("ready_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", "position"),
    )
    op.create_index("escrow_events_by_account", "escrow_events", ["account"], unique=False)
    op.create_table(
        "frozen",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.Column("ready_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account"),
    )
    op.create_index("frozen_by_shard", "frozen", ["shard"], unique=False)
    op.create_table(
        "withdrawals",
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account"], ["viewers.account"]),
        sa.PrimaryKeyConstraint("reference"),
    )
    op.create_index("withdrawals_by_account", "withdrawals", ["account"], unique=False)
    op.create_table(
        "joins",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("max_spend", sa.String(length=48), nullable=False),
        sa.Column("max_price", sa.String(length=48), nullable=False),
        sa.Column("joined_s", sa.BigInteger(), nullable=False),
        sa.Column("expires_s", sa.BigInteger(), nullable=False),
        sa.Column("ended_s", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("account", "stream", "number"),
    )
    op.create_index("joins_by_shard", "joins", ["shard"], unique=False)
    op.create_index("joins_by_stream", "joins", ["stream"], unique=False)
    op.create_table(
        "held_calls",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account"], ["viewers.account"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_index("held_calls_by_account", "held_calls", ["account", "id"], unique=False)
