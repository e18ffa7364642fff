"""What is never billed: seconds unpaid or forgiven, and the floors of a restored book."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from uuid import UUID

from sqlalchemy import Connection, func, select

from metering.book import schema
from metering.book.engine import upsert
from metering.book.records import Counters, Floor, Restore, UnbilledTicks
from metering.book.rows import Repository, chunks
from metering.model import tick_runs, ticks
from metering.units import HOUR_TICKS, AccountId, Run, shard_of


class UnbilledRepository(Repository):
    """Reads and writes what is never billed."""

    def add(self, unbilled: Iterable[UnbilledTicks]) -> None:
        """Keep these ticks, beside those that it already has: added twice, kept once."""
        # A row is an hour of one viewer and stream.
        hours: dict[tuple[AccountId, UUID, int], list[Run]] = {}
        for entry in unbilled:
            for run in entry.runs:
                for hour, bit, bits in ticks.by_hour(run):
                    added = hours.setdefault((entry.account, entry.stream, hour), [])
                    added.append(Run(hour * HOUR_TICKS + bit, bits))

        # Join what the rows have already: a union, so ticks that come twice are kept once.
        table = schema.unbilled.c
        with self._writing() as connection:
            for accounts in chunks(sorted({account for account, _, _ in hours})):
                for row in connection.execute(
                    select(schema.unbilled).where(
                        table.account.in_(accounts),
                        table.hour.between(
                            min(hour for _, _, hour in hours), max(hour for _, _, hour in hours)
                        ),
                    )
                ):
                    if (row.account, row.stream, row.hour) in hours:
                        hours[row.account, row.stream, row.hour].extend(
                            tick_runs.from_text(row.runs)
                        )
            upsert(
                connection,
                schema.unbilled,
                [
                    {
                        "account": account,
                        "stream": stream,
                        "hour": hour,
                        "shard": shard_of(account),
                        "runs": tick_runs.to_text(ticks.normal(kept)),
                    }
                    for (account, stream, hour), kept in hours.items()
                ],
                ("runs",),
            )

    def of_shard(self, shard: int, from_tick: int = 0) -> list[UnbilledTicks]:
        """Return the ticks of a shard that are never billed, from a tick's hour on."""
        table = schema.unbilled.c
        with self._reading() as connection:
            return [
                UnbilledTicks(row.account, row.stream, tick_runs.from_text(row.runs))
                for row in connection.execute(
                    select(schema.unbilled).where(
                        table.shard == shard, table.hour >= from_tick // HOUR_TICKS
                    )
                )
            ]

    def add_floor(self, floor: Floor) -> None:
        """Note that another book had served a shard; found again, only its end moves."""
        row = {
            "shard": floor.shard,
            "epoch": floor.epoch,
            "from_tick": floor.forgiven.first,
            "to_tick": floor.forgiven.end,
            "found_ms": floor.found_ms,
            "lost_ticks": floor.lost_ticks,
        }
        with self._writing() as connection:
            upsert(connection, schema.floors, [row], ("to_tick",))

    def add_stream_floors(self, ends: Mapping[UUID, int]) -> None:
        """Note up to which tick the floors hold for streams that had planned past the clock."""
        table = schema.stream_floors.c
        with self._writing() as connection:
            known = {
                row.stream: row.to_tick
                for some in chunks(sorted(ends))
                for row in connection.execute(
                    select(schema.stream_floors).where(table.stream.in_(some))
                )
            }
            upsert(
                connection,
                schema.stream_floors,
                [
                    {"stream": stream, "to_tick": max(end, known.get(stream, 0))}
                    for stream, end in ends.items()
                ],
                ("to_tick",),
            )

    def stream_floors(self, from_tick: int = 0) -> dict[UUID, int]:
        """Return the ends of `add_stream_floors` that are later than a tick."""
        table = schema.stream_floors.c
        with self._reading() as connection:
            return {
                row.stream: row.to_tick
                for row in connection.execute(
                    select(schema.stream_floors).where(table.to_tick > from_tick)
                )
            }

    def forgiven(self, shard: int, from_tick: int = 0) -> list[Run]:
        """Return the ranges in which a shard forgives, as far as they end after a tick."""
        floors = schema.floors.c
        with self._reading() as connection:
            return [
                Run(row.from_tick, row.to_tick - row.from_tick)
                for row in connection.execute(
                    select(floors.from_tick, floors.to_tick).where(
                        floors.shard == shard, floors.to_tick > from_tick
                    )
                )
            ]

    def floors(self, after_ms: int) -> list[Floor]:
        """Return the floors that were found after a time, oldest first."""
        floors = schema.floors.c
        with self._reading() as connection:
            return [
                Floor(
                    row.shard,
                    row.epoch,
                    Run(row.from_tick, row.to_tick - row.from_tick),
                    row.found_ms,
                    row.lost_ticks,
                )
                for row in connection.execute(
                    select(schema.floors)
                    .where(floors.found_ms > after_ms)
                    .order_by(floors.found_ms, floors.shard)
                )
            ]

    def restores(self) -> list[Restore]:
        """Return each time at which this book was found to be a restored one, oldest first."""
        floors = schema.floors.c
        with self._reading() as connection:
            return [
                Restore(found_ms, shards, Run(first, stop - first), lost)
                for found_ms, shards, first, stop, lost in connection.execute(
                    select(
                        floors.found_ms,
                        func.count(),
                        func.min(floors.from_tick),
                        func.max(floors.to_tick),
                        func.sum(floors.lost_ticks),
                    )
                    .group_by(floors.found_ms)
                    .order_by(floors.found_ms)
                )
            ]

    def put_counters(self, counted: Counters) -> None:
        """Keep what the store counts now."""
        with self._writing() as connection:
            before = _counts(connection)
            _put_counts(
                connection,
                {
                    name: (base, max(newest, now))
                    for name, now in asdict(counted).items()
                    for base, newest in [before.get(name, (0, 0))]
                },
            )

    def carry_counters(self, counted: Counters) -> Counters:
        """Return what the store must count beside `counted`, so that it goes on from this book.

        One that was emptied, or went back, counts less than the book has; one that served a book
        which is lost may count more.
        """
        with self._writing() as connection:
            before = _counts(connection)
            totals = {
                name: base + max(newest, now)
                for name, now in asdict(counted).items()
                for base, newest in [before.get(name, (0, 0))]
            }
            _put_counts(connection, {name: (0, total) for name, total in totals.items()})
        return Counters(**{name: totals[name] - now for name, now in asdict(counted).items()})

    def counters(self) -> Counters:
        """Return what all stores counted together."""
        with self._reading() as connection:
            sums = {name: base + newest for name, (base, newest) in _counts(connection).items()}
        return Counters(*(sums.get(field.name, 0) for field in fields(Counters)))


def _counts(connection: Connection) -> dict[str, tuple[int, int]]:
    """Return base and newest of each counter."""
    return {row.name: (row.base, row.newest) for row in connection.execute(select(schema.counters))}


def _put_counts(connection: Connection, counts: Mapping[str, tuple[int, int]]) -> None:
    """Write base and newest of each counter."""
    rows = [
        {"name": name, "base": base, "newest": newest} for name, (base, newest) in counts.items()
    ]
    upsert(connection, schema.counters, rows, ("base", "newest"))
