"""Settlement on a chain: the split rounds as the pallet does, and what is not final is indexed.

Until 0002 the platform's share of an entry was rounded to the nearest planck, since then down. What
entries have settled so far is moved to the new rule by one transfer, a planck an entry at most.
An entry knows how far the chain is ahead of a book that was restored.

Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


_PPM = 1_000_000


def upgrade() -> None:
    """Add the column and the index, and move the odd plancks."""
    ahead = sa.Column("ahead", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    op.add_column("entries", ahead)
    op.create_index(
        "entries_unsettled",
        "entries",
        ["stream", "version"],
        unique=False,
        sqlite_where=sa.text("booked > settled"),
        postgresql_where=sa.text("booked > settled"),
    )
    _move_odd_plancks(op.get_bind())


def _move_odd_plancks(connection: sa.Connection) -> None:
    moved: dict[tuple[bytes, bytes], int] = {}
    for stream, creator, ppm, settled, planck in connection.execute(
        sa.text(
            "SELECT streams.id, streams.creator, streams.platform_fee_ppm, entries.settled, "
            "prices.planck_per_tick FROM entries JOIN streams ON streams.id = entries.stream "
            "JOIN prices ON prices.stream = entries.stream AND prices.number = entries.version "
            "WHERE entries.settled > 0"
        )
    ):
        if settled * int(planck) * ppm % _PPM * 2 > _PPM:
            key = (bytes(stream), bytes(creator))
            moved[key] = moved.get(key, 0) + 1
    if not moved:
        return
    at_ms = connection.execute(sa.text("SELECT max(at_ms) FROM transfers")).scalar_one()
    transfers = sa.table(
        "transfers", sa.column("id"), sa.column("kind"), sa.column("reference"), sa.column("at_ms")
    )
    connection.execute(transfers.insert().values(kind="rounding", reference="0003", at_ms=at_ms))
    number = connection.execute(
        sa.text("SELECT id FROM transfers WHERE kind = 'rounding'")
    ).scalar_one()
    columns = ("transfer", "position", "role", "account", "stream", "planck")
    postings = sa.table("postings", *(sa.column(name) for name in columns))
    rows: list[dict[str, object]] = []
    for (stream, creator), count in sorted(moved.items()):
        for role, account, planck in (
            ("creator", creator, str(count)),
            ("platform", b"", str(-count)),
        ):
            values = (number, len(rows), role, account, stream, planck)
            rows.append(dict(zip(columns, values, strict=True)))
    connection.execute(postings.insert(), rows)
