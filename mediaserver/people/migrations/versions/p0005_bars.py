"""Accounts that are barred from a stream, or from the server.

Revision: p0005, after p0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p0005"
down_revision = "p0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "people_bars",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("made_by", sa.String(length=80), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("people_bars_by_account", "people_bars", ["account"])
    op.create_index("people_bars_by_stream", "people_bars", ["stream", "number"])
    op.create_index(
        "people_bars_open",
        "people_bars",
        ["stream"],
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )
