"""What an account watched, whatever became of it: billed, covered, or never billed."""

from __future__ import annotations

from sqlalchemy import select

from metering.book import schema
from metering.book.covered_schema import covered
from metering.book.rows import Repository
from metering.book.stream_rows import prices_of
from metering.model import tick_runs
from metering.model.watch_history import WatchedTicks
from metering.units import AccountId, Planck


class WatchHistoryRepository(Repository):
    """Reads what accounts watched."""

    def of(self, account: AccountId) -> list[WatchedTicks]:
        """Return every tick that an account watched, each once.

        An hour of a stream is a row: a year without a pause is 8,760 of them, read in a tenth of a
        second. So this is for another thread than the book's (`AsyncBook.view`).
        """
        free = Planck(0)
        with self._reading() as connection:
            rows = [
                row
                for table in (schema.history, schema.cut_lines)
                for row in connection.execute(
                    select(table.c.stream, table.c.version, table.c.runs).where(
                        table.c.account == account
                    )
                )
            ]
            prices = prices_of(connection, {row.stream for row in rows})
            watched = [
                WatchedTicks(
                    row.stream,
                    tick_runs.from_text(row.runs),
                    prices[row.stream, row.version],
                )
                for row in rows
            ]
            for table, is_covered in ((covered, True), (schema.unbilled, False)):
                query = select(table.c.stream, table.c.runs).where(table.c.account == account)
                watched += [
                    WatchedTicks(row.stream, tick_runs.from_text(row.runs), free, is_covered)
                    for row in connection.execute(query)
                ]
        return watched
