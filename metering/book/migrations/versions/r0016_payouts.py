"""What was paid out to creators.

Revision: 0016, after 0015.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "creator_payouts",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("stream", sa.LargeBinary(16), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
        sa.UniqueConstraint("reference"),
    )
    op.create_index("creator_payouts_by_stream", "creator_payouts", ["stream"])
