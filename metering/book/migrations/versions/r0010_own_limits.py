"""Viewers set limits of their own: for all they watch, and for one session.

A session knows when the first of its player began: what it may have spent is derived from then on.

Revision: 0010, after 0009.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and add the columns."""
    op.create_table(
        "viewer_limits",
        sa.Column("account", sa.LargeBinary(32), nullable=False),
        sa.Column("session_planck", sa.String(48), nullable=False),
        sa.Column("stream_planck", sa.String(48), nullable=False),
        sa.Column("day_planck", sa.String(48), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
        sa.ForeignKeyConstraint(["account"], ["viewers.account"]),
    )
    op.add_column(
        "sessions",
        sa.Column("own_limit", sa.String(48), nullable=False, server_default=sa.text("'0'")),
    )
    op.add_column(
        "sessions",
        sa.Column("began_ms", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.execute(sa.text("UPDATE sessions SET began_ms = created_ms"))
