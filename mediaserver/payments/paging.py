"""Pages of a table's rows, the newest first: one for orders, refunds, withdrawals and payouts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, select


def newest(
    connection: Connection,
    table: Table,
    *where: ColumnElement[bool],
    limit: int,
    before: str | None,
    **only: Any,
) -> list[Row[Any]]:
    """Return rows of a table that has ``number`` and ``id``.

    Args:
        where: What else holds of them.
        before: Id of the row behind which the page begins; one that is not known is behind all.
        only: What columns must hold, by name; None: anything.
    """
    c = table.c
    query = select(table).where(*where).order_by(c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(c.number < select(c.number).where(c.id == before).scalar_subquery())
    for name, value in only.items():
        if value is not None:
            query = query.where(c[name] == value)
    return list(connection.execute(query))
