"""Who asked for a letter when their balance runs down.

Revision: p0006, after p0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p0006"
down_revision = "p0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "people_balance_letters",
        sa.Column("person", sa.String(length=32), nullable=False),
        sa.Column("credential", sa.String(length=16), nullable=False),
        sa.Column("threshold", sa.String(length=48), nullable=False),
        sa.Column("is_low", sa.Boolean(), nullable=False),
        sa.Column("ended", sa.String(length=48), nullable=True),
        sa.Column("due", sa.String(length=16), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(["person"], ["people.id"]),
        sa.PrimaryKeyConstraint("person"),
    )
