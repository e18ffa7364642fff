"""A creator may sell a pass for a show, or for a month.

Revision: 0018, after 0017.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "pass_offers",
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("from_s", sa.BigInteger(), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.PrimaryKeyConstraint("stream", "kind", "from_s"),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
    )
    op.create_table(
        "passes",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.Column("from_tick", sa.BigInteger(), nullable=False),
        sa.Column("until_tick", sa.BigInteger(), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("platform_fee_ppm", sa.Integer(), nullable=False),
        sa.Column("creator", sa.LargeBinary(32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_paid", sa.Boolean(), nullable=False),
        sa.Column("refunded_ms", sa.BigInteger()),
        sa.Column("why", sa.Text(), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("number"),
        sa.ForeignKeyConstraint(["account"], ["viewers.account"]),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("account", "idempotency_key"),
    )
    op.create_index("passes_by_shard", "passes", ["shard"])
    op.create_index("passes_by_account", "passes", ["account", "number"])
    op.create_index("passes_by_stream", "passes", ["stream", "number"])
    op.create_index("passes_by_paid", "passes", ["is_paid"])
