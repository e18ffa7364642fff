"""What a show costs an account at most, and the shows of which that is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from metering.book.covered_schema import counted_shows, show_caps
from metering.book.engine import upsert
from metering.book.rows import Repository, chunks
from metering.book.touched import mark
from metering.model.price import UNITS_MAX
from metering.units import Planck, ShowCap

CAPS_OF: Final = (
    select(show_caps.c.from_show, show_caps.c.planck)
    .where(show_caps.c.stream == bindparam("of"))
    .order_by(show_caps.c.from_show)
)
"""Those of one stream, written once: most requests read one."""


class ShowCapRepository(Repository):
    """Reads and writes caps of shows."""

    def put(self, stream: UUID, planck: Planck, earliest: int) -> ShowCap:
        """Let shows from `earliest` on cost so much at most, and return what holds for those.

        A cap that was to begin later is dropped; one that stays the same is not written again.

        Args:
            planck: 0 is no cap.
            earliest: No second from this one on can be claimed before every process knows.

        Raises:
            InvalidValueError: It is not a whole, bounded number of units.
        """
        self._require_units(planck, "a show's cap", UNITS_MAX)
        caps = show_caps.c
        with self._writing() as connection:
            mark(connection, stream)
            connection.execute(
                delete(show_caps).where(caps.stream == stream, caps.from_show >= earliest)
            )
            known = caps_of(connection, [stream]).get(stream, ())
            last = known[-1] if known else ShowCap(0, Planck(0))
            if last.planck == planck:
                return last
            connection.execute(
                insert(show_caps).values(stream=stream, from_show=earliest, planck=planck)
            )
        return ShowCap(earliest, planck)

    def all(self) -> dict[UUID, tuple[ShowCap, ...]]:
        """Return every cap by stream, oldest first."""
        with self._reading() as connection:
            return caps_of(connection)

    def add_shows(self, shows: Iterable[tuple[UUID, int]]) -> None:
        """Keep that of these shows is counted what they cost; told twice, kept once."""
        rows = [{"stream": stream, "show": show} for stream, show in set(shows)]
        with self._writing() as connection:
            upsert(connection, counted_shows, rows, ("show",))

    def shows(self, oldest: int = 0) -> Mapping[UUID, tuple[int, ...]]:
        """Return the counted shows of each stream that may have ticks from `oldest` on, ascending.

        Of those numbered up to `oldest` only the newest of each stream may.
        """
        table, other = counted_shows.c, counted_shows.alias("other")
        newest_before = (
            select(func.coalesce(func.max(other.c.show), 0))
            .where(other.c.stream == table.stream, other.c.show <= oldest)
            .correlate(counted_shows)
            .scalar_subquery()
        )
        query = select(counted_shows).where(table.show >= newest_before)
        found: dict[UUID, tuple[int, ...]] = {}
        with self._reading() as connection:
            for row in connection.execute(query.order_by(table.stream, table.show)):
                found[row.stream] = (*found.get(row.stream, ()), row.show)
        return found


def caps_of(
    connection: Connection, streams: Sequence[UUID] | None = None
) -> dict[UUID, tuple[ShowCap, ...]]:
    """Return caps by stream, oldest first: of some, or of all that have any."""
    caps = show_caps.c
    query = select(show_caps).order_by(caps.stream, caps.from_show)
    queries = [query]
    if streams is not None:
        queries = [query.where(caps.stream.in_(some)) for some in chunks(streams)]
    found: dict[UUID, tuple[ShowCap, ...]] = {}
    for each in queries:
        for row in connection.execute(each):
            found[row.stream] = (*found.get(row.stream, ()), ShowCap(row.from_show, row.planck))
    return found
