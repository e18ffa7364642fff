"""The book's own facts by name, each a text: fences, epochs, the time of the last cut."""

from __future__ import annotations

from sqlalchemy import Connection, select

from metering.book import schema
from metering.book.engine import upsert


def meta(connection: Connection, name: str) -> str | None:
    """Return the value of a name, None when it has none."""
    value: str | None = connection.execute(
        select(schema.meta.c.value).where(schema.meta.c.name == name)
    ).scalar_one_or_none()
    return value


def meta_int(connection: Connection, name: str) -> int:
    """Return the number that a name has, 0 when it has none."""
    return int(meta(connection, name) or 0)


def put_meta(connection: Connection, name: str, value: str) -> None:
    """Set the value of a name."""
    upsert(connection, schema.meta, [{"name": name, "value": value}], ("value",))
