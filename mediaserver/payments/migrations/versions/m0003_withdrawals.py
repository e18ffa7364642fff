"""What people take out of their balance themselves.

Revision: m0003, after m0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0003"
down_revision = "m0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and add the column."""
    op.add_column("payment_refunds", sa.Column("withdrawal", sa.String(32), nullable=True))
    op.create_index("payment_refunds_by_withdrawal", "payment_refunds", ["withdrawal"])
    op.create_table(
        "payment_withdrawals",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("person", sa.String(32), nullable=False),
        sa.Column("amount", sa.String(48), nullable=False),
        sa.Column("currency", sa.String(12), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("person", "idempotency_key"),
    )
    op.create_index("payment_withdrawals_by_account", "payment_withdrawals", ["account", "number"])
