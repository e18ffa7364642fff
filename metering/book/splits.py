"""Writes split tables, each with the price versions that begin with it, as one transaction.

Source: docs/metering.md, "Split tables".
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, insert, select

from metering.book import schema
from metering.book.named_prices import begin_again, named_of
from metering.book.rows import Repository
from metering.book.split_rows import (
    Tables,
    drop_table,
    hold_shared,
    tables_of,
    version_shares,
)
from metering.book.split_schema import split_shares as _shares
from metering.book.split_schema import split_tables as _tables
from metering.book.stream_rows import stream_of_slug
from metering.book.touched import mark
from metering.errors import InvalidValueError
from metering.model.ledger import Shares
from metering.model.named_prices import held_from
from metering.model.splits import SplitTable, VersionShares, table_faults
from metering.units import AccountId


class SplitRepository(Repository):
    """Reads and writes split tables."""

    def put(self, slug: str, shares: Shares, from_tick: int, now_ms: int) -> SplitTable:
        """Return the new table of a stream, in force from a second on.

        How far ahead it must be is for the caller, who knows the newest planned tick. One that
        begins at the same second as the newest takes its place. Tick 0 is for a stream that has
        begun with nothing but its first price.

        Raises:
            UnknownNameError: If there is no such stream.
            InvalidValueError: The shares cannot hold, or would begin before the newest price.
        """
        with self._writing() as connection:
            record = stream_of_slug(connection, slug)
            mark(connection, record.id)
            if faults := table_faults(shares, record.creator, record.platform_fee_ppm):
                raise InvalidValueError("; ".join(faults))
            last = record.prices[-1]
            if from_tick < last.from_tick:
                raise InvalidValueError(
                    f"split from tick {from_tick}: price {last.number} begins at {last.from_tick}; "
                    "choose that tick, or a later one"
                )
            known = tables_of(connection, [record.id]).get(record.id, ())
            made = SplitTable(known[-1].number + 1 if known else 1, from_tick, shares)
            if known and known[-1].from_tick == from_tick:
                drop_table(connection, record.id, known[-1].number)
            connection.execute(
                insert(_tables).values(
                    stream=record.id, number=made.number, from_tick=from_tick, created_ms=now_ms
                )
            )
            if shares:
                connection.execute(
                    insert(_shares),
                    [
                        {
                            "stream": record.id,
                            "number": made.number,
                            "position": position,
                            "account": share.account,
                            "ppm": share.ppm,
                        }
                        for position, share in enumerate(shares)
                    ],
                )
            begun = [(last.planck_per_tick, from_tick)]
            for changes in named_of(connection, record.id).values():
                begun += (
                    (item.planck_per_tick, item.from_tick) for item in held_from(changes, from_tick)
                )
            hold_shared(connection, record.id, begun)

            # Entries are kept by price version, so a version of each price in force begins here.
            if from_tick > last.from_tick:
                prices = schema.prices.c
                newest = select(func.max(prices.number)).where(prices.stream == record.id)
                connection.execute(
                    insert(schema.prices).values(
                        stream=record.id,
                        number=connection.execute(newest).scalar_one() + 1,
                        from_tick=from_tick,
                        planck_per_tick=last.planck_per_tick,
                    )
                )
            begin_again(connection, record.id, from_tick)
        return made

    def of(self, stream: UUID) -> tuple[SplitTable, ...]:
        """Return every table of a stream, ascending."""
        with self._reading() as connection:
            return tables_of(connection, [stream]).get(stream, ())

    def some(self, streams: Collection[UUID] | None = None) -> Tables:
        """Return the tables of some streams, of all where none are named."""
        with self._reading() as connection:
            return tables_of(connection, streams)

    def version_shares(self) -> VersionShares:
        """Return the shares of every price version that has any."""
        with self._reading() as connection:
            return version_shares(connection)

    def streams_of(self, account: AccountId) -> list[UUID]:
        """Return the streams that have, or had, an account for a payee."""
        query = select(_shares.c.stream).where(_shares.c.account == account).distinct()
        with self._reading() as connection:
            return sorted(connection.execute(query).scalars())

    def payees(self, stream: UUID) -> list[AccountId]:
        """Return who is, or was, a payee of a stream, each once."""
        query = select(_shares.c.account).where(_shares.c.stream == stream).distinct()
        with self._reading() as connection:
            return sorted(AccountId(account) for account in connection.execute(query).scalars())
