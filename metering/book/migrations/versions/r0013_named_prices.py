"""A creator may give a named viewer a price of their own, or nothing to pay.

Revision: 0013, after 0012.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; every price so far is everybody's."""
    op.add_column(
        "prices",
        sa.Column("is_named", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "named_prices",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("from_tick", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger()),
        sa.PrimaryKeyConstraint("stream", "account", "from_tick"),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
        sa.ForeignKeyConstraint(["account"], ["viewers.account"]),
    )
