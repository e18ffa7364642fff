"""Payees of a split table ask to be paid, too.

Revision: m0005, after m0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0005"
down_revision = "m0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add whose earnings a payout is of: none is the creator's, as those there are."""
    op.add_column("payment_payouts", sa.Column("account", sa.LargeBinary(32), nullable=True))
    op.create_index("payment_payouts_by_account", "payment_payouts", ["account", "number"])
