"""Refunds and disputes of payments, and what we ask providers to give back.

Revision: m0002, after m0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0002"
down_revision = "m0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and add the column."""
    op.add_column(
        "payment_notices",
        sa.Column("reversal", sa.String(200), nullable=False, server_default=sa.text("''")),
    )
    op.create_table(
        "payment_reversals",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("payment", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("id", sa.String(200), nullable=False),
        sa.Column("amount", sa.String(48), nullable=False),
        sa.Column("currency", sa.String(12), nullable=False),
        sa.Column("is_total", sa.Boolean(), nullable=False),
        sa.Column("is_undone", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("provider", "kind", "id", "currency", "is_total"),
    )
    op.create_index("payment_reversals_by_payment", "payment_reversals", ["provider", "payment"])
    op.create_table(
        "payment_refunds",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("order", sa.String(32), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("amount", sa.String(48), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(200), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(80), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("made_by", "idempotency_key"),
    )
    op.create_index("payment_refunds_by_account", "payment_refunds", ["account", "number"])
    op.create_index("payment_refunds_by_order", "payment_refunds", ["order"])
    op.create_index("payment_refunds_by_state", "payment_refunds", ["state", "number"])
