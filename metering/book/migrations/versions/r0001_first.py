"""The first tables.

Revision: 0001, the first.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring an empty database to this revision."""
    op.create_table(
        "batches",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.Column("entry_count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("sealed_ms", sa.BigInteger(), nullable=False),
        sa.Column("finalized_ms", sa.BigInteger(), nullable=True),
        sa.Column("finalized_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index(
        "batches_open",
        "batches",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("state != 'finalized'"),
        postgresql_where=sa.text("state != 'finalized'"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("newest", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "history",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("join", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "stream", "join", "version", "hour"),
    )
    op.create_index("history_by_shard", "history", ["shard", "hour"], unique=False)
    op.create_table(
        "journal",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("final_ms", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("seq"),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "receipts",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("made_ms", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("amount", sa.String(length=48), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("account", "stream", "number"),
    )
    op.create_table(
        "streams",
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("creator", sa.LargeBinary(length=32), nullable=False),
        sa.Column("creator_seed", sa.LargeBinary(length=32), nullable=True),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("platform_fee_ppm", sa.Integer(), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )
    op.create_table(
        "transfers",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "reference"),
    )
    op.create_table(
        "viewers",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("seed", sa.LargeBinary(length=32), nullable=True),
        sa.Column("key_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account"),
        sa.UniqueConstraint("key_sha256"),
        sa.UniqueConstraint("name"),
    )
    op.create_index("viewers_by_shard", "viewers", ["shard"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("signed_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["seq"],
            ["batches.seq"],
        ),
        sa.PrimaryKeyConstraint("seq", "number"),
    )
    op.create_table(
        "cuts",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("booked_ms", sa.BigInteger(), nullable=False),
        sa.Column("batch_seq", sa.BigInteger(), nullable=True),
        sa.Column("is_forgotten", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_seq"],
            ["batches.seq"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("shard", "number"),
    )
    op.create_index("cuts_by_time", "cuts", ["booked_ms"], unique=False)
    op.create_index(
        "cuts_in_hand",
        "cuts",
        ["batch_seq"],
        unique=False,
        sqlite_where=sa.text("is_forgotten = 0"),
        postgresql_where=sa.text("NOT is_forgotten"),
    )
    op.create_table(
        "deposits",
        sa.Column("idempotency_key", sa.String(length=200), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.Column("memo", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account"],
            ["viewers.account"],
        ),
        sa.PrimaryKeyConstraint("idempotency_key"),
    )
    op.create_index("deposits_by_account", "deposits", ["account"], unique=False)
    op.create_table(
        "postings",
        sa.Column("transfer", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("planck", sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(
            ["transfer"],
            ["transfers.id"],
        ),
        sa.PrimaryKeyConstraint("transfer", "position"),
    )
    op.create_index("postings_by_holder", "postings", ["role", "account", "stream"], unique=False)
    op.create_table(
        "prices",
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("from_tick", sa.BigInteger(), nullable=False),
        sa.Column("planck_per_tick", sa.String(length=48), nullable=False),
        sa.ForeignKeyConstraint(
            ["stream"],
            ["streams.id"],
        ),
        sa.PrimaryKeyConstraint("stream", "number"),
    )
    op.create_table(
        "refusals",
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("join", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cumulative", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["seq"],
            ["batches.seq"],
        ),
        sa.PrimaryKeyConstraint("seq", "position"),
    )
    op.create_table(
        "sessions",
        sa.Column("session", sa.String(length=16), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("join", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["account"],
            ["viewers.account"],
        ),
        sa.ForeignKeyConstraint(
            ["stream"],
            ["streams.id"],
        ),
        sa.PrimaryKeyConstraint("session"),
    )
    op.create_index(
        "sessions_live",
        "sessions",
        ["expires_ms"],
        unique=False,
        sqlite_where=sa.text("ended_ms IS NULL"),
        postgresql_where=sa.text("ended_ms IS NULL"),
    )
    op.create_table(
        "cut_lines",
        sa.Column("cut", sa.Integer(), nullable=False),
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("join", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("cumulative", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Text(), nullable=False),
        sa.Column("receipt", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["cut"],
            ["cuts.id"],
        ),
        sa.PrimaryKeyConstraint("cut", "account", "stream", "join", "version"),
    )
    op.create_index("cut_lines_by_account", "cut_lines", ["account", "stream"], unique=False)
    op.create_index(
        "cut_lines_without_receipt",
        "cut_lines",
        ["cut"],
        unique=False,
        sqlite_where=sa.text("receipt IS NULL"),
        postgresql_where=sa.text("receipt IS NULL"),
    )
    op.create_table(
        "entries",
        sa.Column("account", sa.LargeBinary(length=32), nullable=False),
        sa.Column("stream", sa.LargeBinary(length=16), nullable=False),
        sa.Column("join", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("booked", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("settled <= booked AND refused <= booked", name="entries_in_order"),
        sa.ForeignKeyConstraint(
            ["stream", "version"],
            ["prices.stream", "prices.number"],
        ),
        sa.PrimaryKeyConstraint("account", "stream", "join", "version"),
    )
    op.create_index("entries_by_shard", "entries", ["shard"], unique=False)
    op.create_index(
        "entries_refused",
        "entries",
        ["refused"],
        unique=False,
        sqlite_where=sa.text("refused > 0"),
        postgresql_where=sa.text("refused > 0"),
    )
