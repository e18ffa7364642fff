"""Split tables as they are read beside entries, prices and passes. What writes them: splits.py."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from uuid import UUID

from sqlalchemy import Connection, delete, select

from metering.book import schema
from metering.book.rows import chunks
from metering.book.split_schema import split_shares as _shares
from metering.book.split_schema import split_tables as _tables
from metering.errors import InvalidValueError
from metering.model.ledger import Share, Shares
from metering.model.splits import (
    SplitTable,
    VersionShares,
    price_fault,
    shares_of_versions,
    table_at,
)
from metering.units import AccountId, Planck

Tables = Mapping[UUID, tuple[SplitTable, ...]]


def tables_of(connection: Connection, streams: Collection[UUID] | None = None) -> Tables:
    """Return the split tables of streams that have any, each stream's ascending; None: of all."""
    tables, shares = select(_tables).order_by(_tables.c.from_tick), select(_shares)
    wanted = [(tables, shares.order_by(_shares.c.position))]
    if streams is not None:
        wanted = [
            (each[0].where(_tables.c.stream.in_(some)), each[1].where(_shares.c.stream.in_(some)))
            for some in chunks(sorted(streams))
            for each in wanted
        ]
    found: dict[UUID, tuple[SplitTable, ...]] = {}
    for of_tables, of_shares in wanted:
        rows = connection.execute(of_tables).all()
        if not rows:
            continue
        payees: dict[tuple[UUID, int], Shares] = defaultdict(tuple)
        for row in connection.execute(of_shares):
            payees[row.stream, row.number] += (Share(AccountId(row.account), row.ppm),)
        for row in rows:
            made = SplitTable(row.number, row.from_tick, payees[row.stream, row.number])
            found[row.stream] = (*found.get(row.stream, ()), made)
    return found


def version_shares(
    connection: Connection, streams: Collection[UUID] | None = None
) -> VersionShares:
    """Return the shares of the price versions of streams that have tables; None: of all."""
    tables = tables_of(connection, streams)
    prices = schema.prices.c
    begins: list[tuple[UUID, int, int]] = []
    for some in chunks(sorted(tables)):
        query = select(prices.stream, prices.number, prices.from_tick)
        rows = connection.execute(query.where(prices.stream.in_(some)))
        begins += ((row.stream, row.number, row.from_tick) for row in rows)
    return shares_of_versions(tables, begins)


def drop_table(connection: Connection, stream: UUID, number: int) -> None:
    """Remove a table that has not begun."""
    for table in (_shares, _tables):
        connection.execute(delete(table).where(table.c.stream == stream, table.c.number == number))


def hold_shared(connection: Connection, stream: UUID, prices: Iterable[tuple[Planck, int]]) -> None:
    """Hold that prices of a stream can be shared as its tables say.

    Args:
        prices: Of a second, and from which second on.

    Raises:
        InvalidValueError: One cannot.
    """
    tables = tables_of(connection, [stream]).get(stream, ())
    if not tables:
        return
    streams = schema.streams.c
    query = select(streams.platform_fee_ppm).where(streams.id == stream)
    fee_ppm = connection.execute(query).scalar_one()
    for planck, from_tick in prices:
        later = (table for table in tables if table.from_tick > from_tick)
        for table in (table_at(tables, from_tick), *later):
            if fault := price_fault(table.shares, fee_ppm, planck):
                raise InvalidValueError(fault)
