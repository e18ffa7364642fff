"""Which shows there were, and the browsers of players. Older shows are those that the book names.

Revision: p0003, after p0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p0003"
down_revision = "p0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "stream_shows",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "show"),
    )
    op.execute(
        "INSERT INTO stream_shows (stream, show) "
        "SELECT stream, show FROM covered WHERE show > 0 "
        "UNION SELECT stream, show FROM true_runs WHERE show > 0"
    )
    op.create_table(
        "people_players",
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("minted_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session"),
    )
    op.create_index("people_players_by_account", "people_players", ["account"])
