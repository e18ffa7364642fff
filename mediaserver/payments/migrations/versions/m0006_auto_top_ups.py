"""What viewers allow to be paid by itself, and what was asked for by it.

Revision: m0006, after m0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "m0006"
down_revision = "m0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "payment_auto_top_ups",
        sa.Column("person", sa.String(32), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("currency", sa.String(12), nullable=False),
        sa.Column("threshold", sa.String(48), nullable=False),
        sa.Column("amount", sa.String(48), nullable=False),
        sa.Column("day_max", sa.String(48), nullable=False),
        sa.Column("month_max", sa.String(48), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("means", sa.String(400), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("setup_order", sa.String(32), nullable=True),
        sa.Column("crossing", sa.Integer(), nullable=False),
        sa.Column("is_low", sa.Boolean(), nullable=False),
        sa.Column("declined", sa.Integer(), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("person"),
    )
    op.create_table(
        "payment_auto_charges",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("person", sa.String(32), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("crossing", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(16), nullable=False),
        sa.Column("amount", sa.String(48), nullable=False),
        sa.Column("currency", sa.String(12), nullable=False),
        sa.Column("means", sa.String(400), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(200), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("person", "crossing"),
    )
    op.create_index("payment_auto_top_ups_by_state", "payment_auto_top_ups", ["state", "account"])
    op.create_index("payment_auto_top_ups_by_order", "payment_auto_top_ups", ["setup_order"])
    op.create_index(
        "payment_auto_charges_by_person", "payment_auto_charges", ["person", "created_ms"]
    )
    op.create_index("payment_auto_charges_by_state", "payment_auto_charges", ["state", "next_ms"])
