"""What went back of deposits: refunds, chargebacks, and those that were undone.

Revision: 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "deposit_returns",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("deposit", sa.String(200), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.ForeignKeyConstraint(["account"], ["viewers.account"]),
        sa.ForeignKeyConstraint(["deposit"], ["deposits.idempotency_key"]),
        sa.UniqueConstraint("kind", "reference"),
    )
    op.create_index("deposit_returns_by_account", "deposit_returns", ["account"])
    op.create_index("deposit_returns_by_deposit", "deposit_returns", ["deposit"])
