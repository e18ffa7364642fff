"""A show may have a cap: its versions, the shows that are counted, and why a second is covered.

Revision: 0011, after 0010.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_KEPT = "account, stream, show, hour, shard, runs, receipted"


def upgrade() -> None:
    """Make the tables; what was covered so far was by a preview."""
    op.create_table(
        "show_caps",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("from_show", sa.BigInteger(), nullable=False),
        sa.Column("planck", sa.String(48), nullable=False),
        sa.PrimaryKeyConstraint("stream", "from_show"),
        sa.ForeignKeyConstraint(["stream"], ["streams.id"]),
    )
    op.create_table(
        "counted_shows",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "show"),
    )

    # The cause is of the primary key, which SQLite cannot change: another table takes the name.
    op.drop_index("covered_by_shard", "covered")
    op.drop_index("covered_by_show", "covered")
    op.rename_table("covered", "covered_before")
    op.create_table(
        "covered",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("show", sa.BigInteger(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("receipted", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint(
            "account", "stream", "show", "hour", "cause", name="covered_by_cause"
        ),
    )
    op.execute(
        sa.text(
            f"INSERT INTO covered ({_KEPT}, cause) "  # noqa: S608 -- both are written above
            f"SELECT {_KEPT}, 'preview' FROM covered_before"
        )
    )
    op.drop_table("covered_before")
    op.create_index("covered_by_shard", "covered", ["shard", "show"], unique=False)
    op.create_index("covered_by_show", "covered", ["stream", "show"], unique=False)
