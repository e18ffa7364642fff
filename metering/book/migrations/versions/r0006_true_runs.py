"""What a part holds that was cut short, beside what its address says.

Revision: 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; of parts before it nothing is known, and their addresses count."""
    op.create_table(
        "true_runs",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.Column("msn", sa.BigInteger(), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("first_tick", sa.BigInteger(), nullable=False),
        sa.Column("planned_count", sa.Integer(), nullable=False),
        sa.Column("held_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "show", "msn", "part"),
    )
