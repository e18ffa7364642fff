"""Streams as rows: one, some, and what their seconds cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from itertools import starmap
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, select

from metering.book import schema
from metering.book.records import StreamRecord
from metering.book.rows import chunks
from metering.book.show_caps import CAPS_OF, caps_of
from metering.errors import UnknownNameError
from metering.units import Planck, PriceVersion, ShowCap

PAGE_MAX: Final = 1000
"""Of more streams all prices are read at once."""

# One stream is read by most requests: its statements are written once, which halves what it takes.
_BY_SLUG: Final = select(schema.streams).where(schema.streams.c.slug == bindparam("slug"))
_PRICES_OF: Final = (
    select(schema.prices.c.number, schema.prices.c.from_tick, schema.prices.c.planck_per_tick)
    .where(schema.prices.c.stream == bindparam("of"), ~schema.prices.c.is_named)
    .order_by(schema.prices.c.number)
)


def prices_of(
    connection: Connection, streams: Collection[UUID] | None = None
) -> dict[tuple[UUID, int], Planck]:
    """Return the price of every version of some streams, or of all."""
    prices = schema.prices.c
    query = select(prices.stream, prices.number, prices.planck_per_tick)
    queries = [query]
    if streams is not None:
        queries = [query.where(prices.stream.in_(some)) for some in chunks(sorted(streams))]
    return {
        (row.stream, row.number): row.planck_per_tick
        for each in queries
        for row in connection.execute(each)
    }


def stream_of_slug(connection: Connection, slug: str) -> StreamRecord:
    """Return a stream, in the caller's transaction.

    Raises:
        UnknownNameError: If there is none.
    """
    row = connection.execute(_BY_SLUG, {"slug": slug}).one_or_none()
    if row is None:
        raise no_stream(slug)
    of_it = {"of": row.id}
    prices = tuple(starmap(PriceVersion, connection.execute(_PRICES_OF, of_it)))
    return _record(row, prices, tuple(starmap(ShowCap, connection.execute(CAPS_OF, of_it))))


def no_stream(slug: str) -> UnknownNameError:
    """Return what is told of a name that no stream has."""
    return UnknownNameError(f"no stream is called {slug!r}")


def records(connection: Connection, rows: Iterable[Row[Any]]) -> list[StreamRecord]:
    """Return the streams of rows of `schema.streams`."""
    rows = list(rows)
    prices = schema.prices.c
    query = select(schema.prices).where(~prices.is_named).order_by(prices.stream, prices.number)
    queries = [query]
    if len(rows) <= PAGE_MAX:
        ids = [row.id for row in rows]
        queries = [query.where(prices.stream.in_(some)) for some in chunks(ids)]
    versions: dict[UUID, list[PriceVersion]] = {}
    for each in queries:
        for row in connection.execute(each):
            versions.setdefault(row.stream, []).append(
                PriceVersion(row.number, row.from_tick, row.planck_per_tick)
            )
    caps = caps_of(connection, None if len(rows) > PAGE_MAX else [row.id for row in rows])
    return [_record(row, tuple(versions[row.id]), caps.get(row.id, ())) for row in rows]


def _record(
    row: Row[Any], prices: tuple[PriceVersion, ...], caps: tuple[ShowCap, ...]
) -> StreamRecord:
    return StreamRecord(
        row.id,
        row.slug,
        row.title,
        row.creator,
        row.is_enabled,
        row.platform_fee_ppm,
        prices,
        row.created_ms,
        row.key_sha256,
        row.preview_s,
        caps,
    )
