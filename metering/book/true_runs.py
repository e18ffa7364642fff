"""Parts that hold fewer seconds than their address says (docs/metering.md, "Time").

A claim at the origin knows the truth by itself, and an edge reads it in a header; who has addresses
alone, such as the log of a commercial CDN, looks it up here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import delete, select

from metering.book import schema
from metering.book.engine import upsert
from metering.book.records import TrueRun
from metering.book.rows import Repository
from metering.units import Run


class TrueRunRepository(Repository):
    """Reads and writes what parts really hold."""

    def keep(self, runs: Iterable[TrueRun], oldest_tick: int) -> None:
        """Keep these, said again or not, and forget what ended before `oldest_tick`."""
        rows = []
        for run in runs:
            row = asdict(run)
            planned = row.pop("planned")
            rows.append({**row, "first_tick": planned["first"], "planned_count": planned["count"]})
        table = schema.true_runs
        with self._writing() as connection:
            upsert(connection, table, rows, ("first_tick", "planned_count", "held_count"))
            connection.execute(
                delete(table).where(table.c.first_tick + table.c.planned_count <= oldest_tick)
            )

    def of_show(self, stream: UUID, show: int) -> list[TrueRun]:
        """Return the parts of a show that were cut short, in order."""
        table = schema.true_runs.c
        with self._reading() as connection:
            return [
                TrueRun(
                    row.stream,
                    row.show,
                    row.msn,
                    row.part,
                    Run(row.first_tick, row.planned_count),
                    row.held_count,
                )
                for row in connection.execute(
                    select(schema.true_runs)
                    .where(table.stream == stream, table.show == show)
                    .order_by(table.msn, table.part)
                )
            ]
