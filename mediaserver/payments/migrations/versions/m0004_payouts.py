"""What creators ask to be paid of their earnings.

Revision: m0004, after m0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0004"
down_revision = "m0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "payment_payouts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("amount", sa.String(48), nullable=False),
        sa.Column("currency", sa.String(12), nullable=False),
        sa.Column("currency_decimals", sa.Integer(), nullable=False),
        sa.Column("payee", sa.String(70), nullable=False),
        sa.Column("bank_account", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(200), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(80), nullable=False),
        sa.Column("idempotency_key", sa.String(200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("stream", "idempotency_key"),
    )
    op.create_index("payment_payouts_by_state", "payment_payouts", ["state", "number"])
    op.create_index("payment_payouts_by_stream", "payment_payouts", ["stream", "number"])
