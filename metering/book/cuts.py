"""Cuts by number, the ticks they carry, and what is derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from metering.book import schema
from metering.book.engine import upsert
from metering.book.meta import meta, meta_int, put_meta
from metering.book.passes import paid_for
from metering.book.records import BookedTicks, EntryRecord
from metering.book.rows import (
    Repository,
    accounts_of,
    chunks,
    is_key,
    key_binds,
    key_of,
    key_values,
)
from metering.book.settlements import last_final
from metering.book.stream_rows import prices_of
from metering.book.usage import ROLLED
from metering.errors import LedgerImbalanceError
from metering.model import tick_runs, ticks
from metering.units import HOUR_TICKS, AccountId, Cut, EntryKey, Planck, Run, shard_of


class CutRepository(Repository):
    """Reads and writes cuts and ticks."""

    def booked_number(self, shard: int) -> int:
        """Return the number of the newest cut of a shard, 0 before the first."""
        cuts = schema.cuts.c
        with self._reading() as connection:
            number: int | None = connection.execute(
                select(func.max(cuts.number)).where(cuts.shard == shard)
            ).scalar_one()
        return number or 0

    def booked_numbers(self) -> dict[int, int]:
        """Return the number of the newest cut of every shard that has one."""
        with self._reading() as connection:
            return _booked_numbers(connection)

    def book(self, cuts: Sequence[Cut], now_ms: int) -> int:
        """Write one round of cuts in one transaction; return how many ticks were new.

        A cut that is booked already is passed over: its answer was the same.

        Raises:
            LedgerImbalanceError: If a number leaves a gap, or a cumulative count is not what the
                book has plus the cut's ticks: this Redis is not the one that the book knows, or a
                bug. Nothing is written.
        """
        new_ticks = 0
        with self._writing() as connection:
            booked = _booked_numbers(connection)
            fresh = [cut for cut in cuts if cut.number > booked.get(cut.shard, 0)]
            keys = [line.key for cut in fresh for line in cut.lines]
            known = _entries(connection, keys)
            prices = prices_of(connection, {key.stream for key in keys})
            for cut in fresh:
                last = booked.get(cut.shard, 0)
                if cut.number != last + 1:
                    raise LedgerImbalanceError(
                        f"cut {cut.number} of shard {cut.shard} comes after {last}: one is missing"
                    )
                booked[cut.shard] = cut.number
                _check(cut, known, prices)
                new_ticks += _write(connection, cut, known, now_ms)
            put_meta(connection, "last_cut_ms", str(now_ms))
        return new_ticks

    def to_forget(self) -> dict[int, int]:
        """Return, for each shard that has any, up to which number its cuts are final."""
        cuts = schema.cuts.c
        with self._reading() as connection:
            return {
                row.shard: row.number
                for row in connection.execute(
                    select(cuts.shard, func.max(cuts.number).label("number"))
                    .where(cuts.is_forgotten.is_(False), cuts.batch_seq <= last_final(connection))
                    .group_by(cuts.shard)
                )
            }

    def mark_forgotten(self, up_to: dict[int, int]) -> None:
        """Note that Redis has forgotten each shard's cuts up to a number."""
        cuts = schema.cuts.c
        with self._writing() as connection:
            for shard, number in up_to.items():
                connection.execute(
                    update(schema.cuts)
                    .where(cuts.shard == shard, cuts.number <= number, ~cuts.is_forgotten)
                    .values(is_forgotten=True)
                )

    def compact(self, lines_max: int = 5000) -> int:
        """Merge final, receipted cut lines into hours of history; return how many lines went.

        Ticks are kept indefinitely, as runs per account, stream and hour. Cuts without lines go
        too, but for the newest of each shard.
        """
        cuts, lines = schema.cuts.c, schema.cut_lines.c
        with self._writing() as connection:
            # Lines that nothing needs one by one: settled finally, forgotten by Redis, on a
            # receipt, in the minutes.
            rows = connection.execute(
                select(schema.cut_lines)
                .join(schema.cuts, cuts.id == lines.cut)
                .where(
                    cuts.is_forgotten,
                    lines.receipt.is_not(None),
                    cuts.id <= meta_int(connection, ROLLED),
                )
                .order_by(lines.cut)
                .limit(lines_max)
            ).all()
            _merge_into_history(connection, rows)
            if rows:
                connection.execute(
                    delete(schema.cut_lines).where(
                        lines.cut == bindparam("of_cut"), *is_key(schema.cut_lines)
                    ),
                    [{"of_cut": row.cut, **key_binds(key_of(row))} for row in rows],
                )

            # Cuts whose lines are gone. The newest number of a shard says what is booked, so it
            # remains.
            newest = (
                select(func.max(cuts.number).label("number"), cuts.shard)
                .group_by(cuts.shard)
                .subquery()
            )
            connection.execute(
                delete(schema.cuts).where(
                    cuts.is_forgotten,
                    ~select(lines.cut).where(lines.cut == cuts.id).exists(),
                    ~select(newest.c.number)
                    .where(newest.c.shard == cuts.shard, newest.c.number == cuts.number)
                    .exists(),
                )
            )
        return len(rows)

    def entries(self, shard: int | None = None) -> list[EntryRecord]:
        """Return every entry, or those of one shard, with the price of its version."""
        query = _entry_query()
        if shard is not None:
            query = query.where(schema.entries.c.shard == shard)
        with self._reading() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def booked_ticks(self, shard: int | None = None, from_tick: int = 0) -> list[BookedTicks]:
        """Return the ticks that the book has of a shard, or all, from a tick's hour on.

        Cut lines that are not merged yet are returned whole.
        """
        cuts, lines, history = schema.cuts.c, schema.cut_lines.c, schema.history.c
        merged = select(schema.history).where(history.hour >= from_tick // HOUR_TICKS)
        fresh = select(schema.cut_lines).join(schema.cuts, cuts.id == lines.cut)
        if shard is not None:
            merged = merged.where(history.shard == shard)
            fresh = fresh.where(cuts.shard == shard)
        with self._reading() as connection:
            rows = [*connection.execute(merged), *connection.execute(fresh)]
        return [BookedTicks(key_of(row), tick_runs.from_text(row.runs)) for row in rows]

    def shards_in_use(self) -> set[int]:
        """Return the shards that have a viewer, an entry or a floor: others have nothing."""
        with self._reading() as connection:
            return {
                shard
                for table in (schema.viewers, schema.entries, schema.floors)
                for shard in connection.execute(select(table.c.shard).distinct()).scalars()
            }

    def watched(self, account: AccountId, stream: UUID) -> tuple[Run, ...]:
        """Return every second of a stream that the book has for an account."""
        all_runs: list[Run] = []
        with self._reading() as connection:
            for table in (schema.history, schema.cut_lines):
                for text in connection.execute(
                    select(table.c.runs).where(table.c.account == account, table.c.stream == stream)
                ).scalars():
                    all_runs.extend(tick_runs.from_text(text))
        return ticks.normal(all_runs)

    def spent(self, account: AccountId) -> Planck:
        """Return what an account's booked and adopted ticks cost, and its passes."""
        return self.spent_by([account])[account]

    def spent_by(self, accounts: Sequence[AccountId]) -> dict[AccountId, Planck]:
        """Return the same of each of some accounts, in one query for `IN_MAX` of them."""
        sums: dict[AccountId, Planck] = dict.fromkeys(accounts, Planck(0))
        entries = schema.entries.c
        with self._reading() as connection:
            for some in chunks(accounts):
                for row in connection.execute(_entry_query().where(entries.account.in_(some))):
                    cost = (row.booked + row.ahead) * row.planck_per_tick
                    sums[row.account] = Planck(sums[row.account] + cost)
            for account, planck in paid_for(connection, accounts).items():
                sums[account] = Planck(sums[account] + planck)
        return sums

    def last_ms(self) -> int | None:
        """Return when the last round of cuts was booked, None before the first."""
        with self._reading() as connection:
            text = meta(connection, "last_cut_ms")
        return None if text is None else int(text)


def _check(cut: Cut, known: dict[EntryKey, int], prices: dict[tuple[UUID, int], Planck]) -> None:
    """Raise unless every line continues the book's count, and can be priced."""
    seen = set()
    for line in cut.lines:
        tick_runs.require_normal(line.runs)
        key = line.key
        if key in seen or shard_of(key.account) != cut.shard:
            raise LedgerImbalanceError(
                f"cut {cut.number} of shard {cut.shard} holds {key} twice, or by mistake"
            )
        seen.add(key)
        if (key.stream, key.version) not in prices:
            raise LedgerImbalanceError(
                f"cut {cut.number} of shard {cut.shard}: no price {key.version} of {key.stream}"
            )
        expected = known.get(key, 0) + ticks.count(line.runs)
        if line.cumulative != expected or not line.runs:
            raise LedgerImbalanceError(
                f"cut {cut.number} of shard {cut.shard}: {key} has {line.cumulative} ticks in "
                f"all, the book and this cut make {expected}"
            )


def _write(connection: Connection, cut: Cut, known: dict[EntryKey, int], now_ms: int) -> int:
    """Write a checked cut, move `known` on, and return its ticks."""
    # The cut itself: (shard, number) is unique, so no second process can book it again.
    number = connection.execute(
        insert(schema.cuts)
        .values(shard=cut.shard, number=cut.number, booked_ms=now_ms, is_forgotten=False)
        .returning(schema.cuts.c.id)
    ).scalar_one()

    # A cut without ticks is only its number.
    if not cut.lines:
        return 0
    connection.execute(
        insert(schema.cut_lines),
        [
            {
                "cut": number,
                **key_values(line.key),
                "cumulative": line.cumulative,
                "runs": tick_runs.to_text(line.runs),
            }
            for line in cut.lines
        ],
    )

    # The entries' cumulative counts, which settlement takes from here.
    upsert(
        connection,
        schema.entries,
        [
            {
                **key_values(line.key),
                "shard": cut.shard,
                "booked": line.cumulative,
                "settled": 0,
                "refused": 0,
            }
            for line in cut.lines
        ],
        ("booked",),
    )
    known.update({line.key: line.cumulative for line in cut.lines})
    return sum(ticks.count(line.runs) for line in cut.lines)


def _merge_into_history(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """Add the ticks of some cut lines to the hours that they fall into."""
    # A row of history is an hour of one key.
    hours: dict[tuple[EntryKey, int], list[Run]] = {}
    for row in rows:
        for run in tick_runs.from_text(row.runs):
            for hour, bit, bits in ticks.by_hour(run):
                hours.setdefault((key_of(row), hour), []).append(Run(hour * HOUR_TICKS + bit, bits))
    history = schema.history.c

    # What the rows of those hours have already; it is joined, never replaced.
    there: dict[tuple[EntryKey, int], str] = {}
    if hours:
        oldest, newest = min(hour for _, hour in hours), max(hour for _, hour in hours)
        for accounts in chunks(accounts_of([key for key, _ in hours])):
            for row in connection.execute(
                select(schema.history).where(
                    history.account.in_(accounts), history.hour.between(oldest, newest)
                )
            ):
                there[key_of(row), row.hour] = row.runs
    upsert(
        connection,
        schema.history,
        [
            {
                **key_values(key),
                "hour": hour,
                "shard": shard_of(key.account),
                "runs": tick_runs.to_text(
                    ticks.union(tick_runs.from_text(there.get((key, hour), "")), added)
                ),
            }
            for (key, hour), added in hours.items()
        ],
        ("runs",),
    )


def _booked_numbers(connection: Connection) -> dict[int, int]:
    cuts = schema.cuts.c
    return {
        row.shard: row.number
        for row in connection.execute(
            select(cuts.shard, func.max(cuts.number).label("number")).group_by(cuts.shard)
        )
    }


def _entries(connection: Connection, keys: Sequence[EntryKey]) -> dict[EntryKey, int]:
    """Return how far each of some entries is booked; all entries of their accounts are read."""
    counts = {}
    entries = schema.entries.c
    for accounts in chunks(accounts_of(keys)):
        for row in connection.execute(select(schema.entries).where(entries.account.in_(accounts))):
            counts[key_of(row)] = row.booked
    return counts


def _entry_query() -> Select[Any]:
    entries, prices = schema.entries.c, schema.prices.c
    return select(schema.entries, prices.planck_per_tick).join(
        schema.prices, (prices.stream == entries.stream) & (prices.number == entries.version)
    )


def _entry(row: Row[Any]) -> EntryRecord:
    return EntryRecord(
        key_of(row), row.booked, row.settled, row.refused, row.planck_per_tick, row.ahead
    )
