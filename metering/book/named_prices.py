"""What a stream costs named viewers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, delete, func, insert, select

from metering.book import schema
from metering.book.limit_schema import named_prices
from metering.book.rows import Repository, chunks
from metering.book.split_rows import hold_shared, tables_of
from metering.book.touched import mark
from metering.errors import InvalidValueError
from metering.model.named_prices import NamedPrice
from metering.model.price import UNITS_PER_TICK_MAX
from metering.units import FREE_LIST, AccountId, Planck

VIEWERS_MAX: Final = 500
"""Of one stream: each process holds all of them, and is told anew every few seconds."""

Named = Mapping[AccountId, tuple[NamedPrice, ...]]


class NamedPriceRepository(Repository):
    """Reads and writes prices of named viewers."""

    def add(
        self, stream: UUID, account: AccountId, planck: Planck | None, from_tick: int
    ) -> NamedPrice:
        """Return what a stream costs a viewer from a second on; a later change gives way to it.

        Args:
            planck: Of a second; 0: they have it for nothing; None: what it costs everybody.
            from_tick: No second from then on can be claimed before every process knows.

        Raises:
            InvalidValueError: The price cannot be counted, or not be shared as the stream's split
                says, or too many viewers of the stream have one.
        """
        if planck is not None:
            self._require_units(planck, "price of a second", UNITS_PER_TICK_MAX)
        with self._writing() as connection:
            mark(connection, stream)
            of_stream = named_of(connection, stream)
            if account not in of_stream and len(of_stream) >= VIEWERS_MAX:
                raise InvalidValueError(
                    f"{len(of_stream)} viewers of this stream have a price of their own, and no "
                    f"more than {VIEWERS_MAX} may"
                )

            named = named_prices.c
            connection.execute(
                delete(named_prices).where(
                    named.stream == stream,
                    named.account == account,
                    named.from_tick >= from_tick,
                )
            )

            # The version is in the stream's one sequence, as entries and receipts name it; that of
            # a change which gave way stays unused.
            if planck:
                hold_shared(connection, stream, [(planck, from_tick)])
            version = _insert(connection, stream, account, planck, from_tick)

            # What is shared otherwise from a later second on is a version of its own from there.
            for table in tables_of(connection, [stream]).get(stream, ()):
                if planck and table.from_tick > from_tick:
                    _insert(connection, stream, account, planck, table.from_tick)
        return NamedPrice(from_tick, version, planck or Planck(0))

    def all(self) -> dict[UUID, Named]:
        """Return every price of a named viewer by stream and account, oldest first."""
        with self._reading() as connection:
            return _of(connection)

    def of(self, stream: UUID) -> Named:
        """Return those of one stream."""
        with self._reading() as connection:
            return named_of(connection, stream)

    def some(self, streams: Collection[UUID]) -> dict[UUID, Named]:
        """Return those of some streams."""
        found: dict[UUID, Named] = {}
        with self._reading() as connection:
            for some in chunks(sorted(streams)):
                found |= _of(connection, some)
        return found


def named_of(connection: Connection, stream: UUID) -> Named:
    """Return the prices of a stream's named viewers, each one's oldest first."""
    return _of(connection, [stream]).get(stream, {})


def begin_again(connection: Connection, stream: UUID, from_tick: int) -> None:
    """Let each price of a named viewer be a version of its own from a second on."""
    for account, changes in named_of(connection, stream).items():
        held = next((item for item in reversed(changes) if item.from_tick <= from_tick), None)
        if held is not None and held.version and held.from_tick < from_tick:
            _insert(connection, stream, account, held.planck_per_tick, from_tick)


def _insert(
    connection: Connection, stream: UUID, account: AccountId, planck: Planck | None, from_tick: int
) -> int | None:
    """Write a change, and the version that is theirs alone; return its number."""
    prices = schema.prices.c
    version: int | None = None if planck is None else FREE_LIST
    if planck:
        newest = select(func.max(prices.number)).where(prices.stream == stream)
        version = int(connection.execute(newest).scalar_one()) + 1
        connection.execute(
            insert(schema.prices).values(
                stream=stream,
                number=version,
                from_tick=from_tick,
                planck_per_tick=planck,
                is_named=True,
            )
        )
    connection.execute(
        insert(named_prices).values(
            stream=stream, account=account, from_tick=from_tick, version=version
        )
    )
    return version


def _of(connection: Connection, streams: Sequence[UUID] | None = None) -> dict[UUID, Named]:
    named, prices = named_prices.c, schema.prices
    query = (
        select(named_prices, prices.c.planck_per_tick)
        .outerjoin(prices, (prices.c.stream == named.stream) & (prices.c.number == named.version))
        .order_by(named.stream, named.account, named.from_tick)
    )
    if streams is not None:
        query = query.where(named.stream.in_(streams))
    found: dict[UUID, dict[AccountId, tuple[NamedPrice, ...]]] = {}
    for row in connection.execute(query):
        of_stream = found.setdefault(row.stream, {})
        item = NamedPrice(row.from_tick, row.version, row.planck_per_tick or Planck(0))
        of_stream[row.account] = (*of_stream.get(row.account, ()), item)
    return dict(found)
