"""A session has an end that renewal never moves, and an account's sessions are found by it.

A session of before ends with its newest token.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column(
        "sessions",
        sa.Column("ends_ms", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.execute(sa.text("UPDATE sessions SET ends_ms = expires_ms"))
    op.create_index("sessions_by_account", "sessions", ["account", "ends_ms"])
