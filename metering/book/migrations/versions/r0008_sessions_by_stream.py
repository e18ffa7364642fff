"""Sessions of a stream are found by it.

Revision: 0008, after 0007.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("sessions_by_stream", "sessions", ["stream", "ends_ms"])
