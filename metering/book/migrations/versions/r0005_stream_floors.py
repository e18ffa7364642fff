"""After a restored book, seconds are forgiven up to what each stream itself had planned.

Until 0004 one end held for all streams: the newest second that any of them had planned.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; floors that are there keep their common end."""
    op.create_table(
        "stream_floors",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("to_tick", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream"),
    )
