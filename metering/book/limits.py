"""What viewers themselves allow to be spent."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select, update

from metering.book import schema
from metering.book.limit_schema import viewer_limits
from metering.book.rows import Repository
from metering.errors import UnknownNameError
from metering.model.price import UNITS_MAX
from metering.model.spending_limits import SpendingLimits
from metering.units import AccountId, Planck, account_text


class LimitRepository(Repository):
    """Reads and writes viewers' own limits."""

    def get(self, account: AccountId) -> SpendingLimits:
        """Return an account's own limits; none where it never set any."""
        limits = viewer_limits
        with self._reading() as connection:
            row = connection.execute(
                select(limits).where(limits.c.account == account)
            ).one_or_none()
        return SpendingLimits() if row is None else _limits(row)

    def of_shard(self, shard: int) -> dict[AccountId, SpendingLimits]:
        """Return the own limits of all accounts of a shard that ever set any."""
        limits, viewers = viewer_limits, schema.viewers
        with self._reading() as connection:
            rows = connection.execute(
                select(limits)
                .join(viewers, viewers.c.account == limits.c.account)
                .where(viewers.c.shard == shard)
            ).all()
        return {row.account: _limits(row) for row in rows}

    def put(self, account: AccountId, limits: SpendingLimits, now_ms: int) -> None:
        """Set an account's own limits.

        Raises:
            InvalidValueError: One is not a whole, bounded number of units.
            UnknownNameError: There is no such viewer.
        """
        values = {
            "session_planck": self.checked(limits.session, "a session's limit"),
            "stream_planck": self.checked(limits.stream, "a stream's limit"),
            "day_planck": self.checked(limits.day, "a day's limit"),
            "changed_ms": now_ms,
        }
        table, viewers = viewer_limits, schema.viewers.c
        with self._writing() as connection:
            known = select(viewers.account).where(viewers.account == account)
            if connection.execute(known).one_or_none() is None:
                raise UnknownNameError(f"there is no viewer {account_text(account)}")
            changed = connection.execute(
                update(table).where(table.c.account == account).values(**values)
            )
            if not changed.rowcount:
                connection.execute(insert(table).values(account=account, **values))

    def checked(self, planck: Planck, what: str) -> Planck:
        """Return a limit that the store can count.

        Raises:
            InvalidValueError: Names the value and the remedy.
        """
        return self._require_units(planck, what, UNITS_MAX)


def _limits(row: Row[Any]) -> SpendingLimits:
    return SpendingLimits(row.session_planck, row.stream_planck, row.day_planck)
