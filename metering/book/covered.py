"""What is covered: seconds that were watched and billed to nobody, kept by show and cause."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select, update

from metering.book.covered_schema import covered as _covered
from metering.book.engine import upsert
from metering.book.records import CoveredTicks
from metering.book.rows import Repository, chunks
from metering.model import tick_runs, ticks
from metering.units import HOUR_TICKS, AccountId, Cause, Run, shard_of


class CoveredRepository(Repository):
    """Reads and writes what is covered."""

    def add(self, covered: Iterable[CoveredTicks]) -> None:
        """Keep these ticks, beside those that it already has: added twice, kept once."""
        # A row is an hour of one viewer and show.
        hours: dict[tuple[AccountId, UUID, int, int, Cause], list[Run]] = {}
        for entry in covered:
            for run in entry.runs:
                for hour, bit, bits in ticks.by_hour(run):
                    at = (entry.account, entry.stream, entry.show, hour, entry.cause)
                    hours.setdefault(at, []).append(Run(hour * HOUR_TICKS + bit, bits))
        if not hours:
            return

        # Join what the rows have already: a union.
        table = _covered.c
        newest = min(hour for *_, hour, _ in hours), max(hour for *_, hour, _ in hours)
        with self._writing() as connection:
            for accounts in chunks(sorted({account for account, *_ in hours})):
                query = select(_covered).where(
                    table.account.in_(accounts), table.hour.between(*newest)
                )
                for row in connection.execute(query):
                    at = (row.account, row.stream, row.show, row.hour, Cause(row.cause))
                    if at in hours:
                        hours[at].extend(tick_runs.from_text(row.runs))
            upsert(
                connection,
                _covered,
                [
                    {
                        "account": account,
                        "stream": stream,
                        "show": show,
                        "hour": hour,
                        "cause": cause,
                        "shard": shard_of(account),
                        "runs": tick_runs.to_text(ticks.normal(kept)),
                    }
                    for (account, stream, show, hour, cause), kept in hours.items()
                ],
                ("runs",),
            )

    def of_shard(self, shard: int, oldest: int) -> list[CoveredTicks]:
        """Return what is covered of the shows of a shard that may have ticks from `oldest` on.

        A show's number is no lower than its first tick, so of those numbered up to `oldest` only
        the newest of each stream may.
        """
        table, other = _covered.c, _covered.alias("other")
        newest_before = (
            select(func.coalesce(func.max(other.c.show), 0))
            .where(other.c.stream == table.stream, other.c.show <= oldest)
            .correlate(_covered)
            .scalar_subquery()
        )
        with self._reading() as connection:
            query = select(_covered).where(table.shard == shard, table.show >= newest_before)
            return [_ticks(row) for row in connection.execute(query)]

    def all(self) -> list[CoveredTicks]:
        """Return every covered tick, by stream, account and show."""
        table = _covered.c
        with self._reading() as connection:
            query = select(_covered).order_by(table.stream, table.account, table.show, table.hour)
            return [_ticks(row) for row in connection.execute(query)]


def take_unreceipted(
    connection: Connection, account: AccountId, stream: UUID
) -> dict[Cause, ticks.Runs]:
    """Return what is covered and in no receipt yet, by why; from now on it is in one."""
    table = _covered.c
    is_viewers = (table.account == account) & (table.stream == stream)
    query = select(_covered).where(is_viewers, table.runs != table.receipted)
    fresh: dict[Cause, list[Run]] = {}
    for row in connection.execute(query).all():
        runs, named = tick_runs.from_text(row.runs), tick_runs.from_text(row.receipted)
        fresh.setdefault(Cause(row.cause), []).extend(ticks.difference(runs, named))
    if fresh:
        connection.execute(update(_covered).where(is_viewers).values(receipted=table.runs))
    return {cause: ticks.normal(runs) for cause, runs in fresh.items()}


def _ticks(row: Row[Any]) -> CoveredTicks:
    runs = tick_runs.from_text(row.runs)
    return CoveredTicks(row.account, row.stream, row.show, runs, Cause(row.cause))
