"""When players stop by themselves, by account.

Revision: p0004, after p0003.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p0004"
down_revision = "p0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "people_player_settings",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hidden_stop_s", sa.BigInteger(), nullable=False),
        sa.Column("ask_after_s", sa.BigInteger(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )
