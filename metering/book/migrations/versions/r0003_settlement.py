"""Settlement on a chain: find what is booked and not final without reading every entry.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index; nothing is moved."""
    op.create_index(
        "entries_unsettled",
        "entries",
        ["stream", "version"],
        unique=False,
        sqlite_where=sa.text("booked > settled"),
        postgresql_where=sa.text("booked > settled"),
    )
