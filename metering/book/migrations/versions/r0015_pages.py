"""Lists are read in pages: sessions, the newest first.

Revision: 0015, after 0014.
"""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the indexes."""
    age = ["created_ms", "session"]
    op.create_index("sessions_by_age", "sessions", age)
    op.create_index("sessions_of_stream_by_age", "sessions", ["stream", *age])
    op.create_index("sessions_of_account_by_age", "sessions", ["account", *age])
