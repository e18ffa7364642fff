"""The first tables of payments.

Revision: m0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "payment_orders",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=True),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.String(length=48), nullable=False),
        sa.Column("currency", sa.String(length=12), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("payment", sa.String(length=200), nullable=True),
        sa.Column("pay_url", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("person", "idempotency_key"),
        sa.UniqueConstraint("provider", "payment"),
    )
    op.create_index("payment_orders_by_account", "payment_orders", ["account", "number"])
    op.create_index("payment_orders_by_state", "payment_orders", ["state", "number"])
    op.create_table(
        "payment_notices",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("event", sa.String(length=200), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("order", sa.String(length=200), nullable=False),
        sa.Column("payment", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.String(length=48), nullable=True),
        sa.Column("currency", sa.String(length=12), nullable=False),
        sa.Column("is_live", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("provider", "event"),
    )
    op.create_index("payment_notices_by_order", "payment_notices", ["order"])
    op.create_index("payment_notices_by_outcome", "payment_notices", ["outcome", "number"])
    op.create_index("payment_notices_by_payment", "payment_notices", ["provider", "payment"])
