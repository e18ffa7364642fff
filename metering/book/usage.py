"""Who watched when: ticks of cuts rolled up by viewer, stream and minute, and read again.

A roll takes cuts that were booked since the last one, in the transaction that notes how far it
came: whatever ends the process, each tick is in the minutes once. Lines are merged into history
only once they were rolled up (`CutRepository.compact`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, select

from metering.book import schema
from metering.book.engine import upsert
from metering.book.meta import meta_int, put_meta
from metering.book.rows import Repository, chunks
from metering.book.stream_rows import prices_of
from metering.book.usage_schema import stream_minutes, usage_backlog, viewer_hours
from metering.model import tick_runs, usage
from metering.model.usage import HOUR_MINUTES, MINUTE_TICKS, StreamMinute, ViewerHour
from metering.units import HOUR_TICKS, AccountId, Planck

ROLLED: Final = "rolled_cut"
"""Name of the newest cut whose ticks are in the minutes."""
_REVISION: Final = "usage_revision"
LINES_MAX: Final = 1000
"""Lines of cuts in one roll: some 30 ms of the book's only thread."""
FORGET_MAX: Final = 2000
"""Rows that one call forgets, at most: the same time."""

HourKey = tuple[UUID, int, AccountId, int]
"""Stream, hour, account, price version."""


class RollOutcome(NamedTuple):
    """What a roll did."""

    lines: int
    is_all: bool


@dataclass(slots=True)
class _Minute:
    """What a roll adds to a minute of a stream."""

    planck: int = 0
    seconds: list[int] = field(default_factory=lambda: [0] * MINUTE_TICKS)


class UsageRepository(Repository):
    """Writes and reads minutes."""

    def roll(self, lines_max: int = LINES_MAX) -> RollOutcome:
        """Add the ticks of the next cuts, `lines_max` lines or one cut; `is_all` when none is left.

        Raises:
            InvalidValueError: Ticks would be counted twice, which only a bug can do.
        """
        with self._reading() as connection:
            if not _has_unrolled(connection):
                return RollOutcome(0, is_all=True)
        rows: Sequence[Row[Any]]
        with self._writing() as connection:
            old: Sequence[Row[Any]] = connection.execute(
                select(usage_backlog).order_by(usage_backlog.c.id).limit(lines_max)
            ).all()
            if old:
                rows = old
                is_rolled = usage_backlog.c.id <= rows[-1].id
                connection.execute(delete(usage_backlog).where(is_rolled))
            else:
                rolled, rows = _next_lines(connection, lines_max)
                put_meta(connection, ROLLED, str(rolled))
            if rows:
                _add(connection, rows)
            return RollOutcome(len(rows), is_all=not _has_unrolled(connection))

    def forget(self, before_hour: int) -> int:
        """Forget minutes before an hour; return how many rows that were, `FORGET_MAX` at most."""
        hours, minutes = viewer_hours.c, stream_minutes.c
        with self._reading() as connection:
            keys = connection.execute(
                select(hours.stream, hours.hour, hours.account, hours.version)
                .where(hours.hour < before_hour)
                .limit(FORGET_MAX)
            ).all()
            of_streams = connection.execute(
                select(minutes.stream, minutes.minute)
                .where(minutes.minute < before_hour * HOUR_MINUTES)
                .limit(FORGET_MAX - len(keys))
            ).all()
        if not keys and not of_streams:
            return 0
        with self._writing() as connection:
            for key in keys:
                connection.execute(
                    delete(viewer_hours).where(
                        hours.stream == key.stream,
                        hours.hour == key.hour,
                        hours.account == key.account,
                        hours.version == key.version,
                    )
                )
            for row in of_streams:
                connection.execute(
                    delete(stream_minutes).where(
                        minutes.stream == row.stream, minutes.minute == row.minute
                    )
                )
        return len(keys) + len(of_streams)

    def minutes(self, stream: UUID, first: int, end: int, limit: int) -> list[StreamMinute]:
        """Return the first `limit` minutes of a stream that somebody watched, from `first` on.

        Args:
            first: Of Unix time, as tick // 60.
            end: The first minute that is not wanted.
        """
        columns = stream_minutes.c
        with self._reading() as connection:
            rows = connection.execute(
                select(stream_minutes)
                .where(columns.stream == stream, columns.minute >= first, columns.minute < end)
                .order_by(columns.minute)
                .limit(limit)
            ).all()
        return [
            StreamMinute(
                row.stream,
                row.minute,
                row.viewers,
                row.peak,
                row.ticks,
                row.planck,
                tuple(usage.seconds_of(row.seconds)),
            )
            for row in rows
        ]

    def changed(
        self,
        after: int,
        limit: int,
        *,
        stream: UUID | None = None,
        account: AccountId | None = None,
    ) -> list[ViewerHour]:
        """Return hours that were changed by the rolls behind `after`, each roll's whole.

        Args:
            after: Revision of a roll, 0 for all.
            limit: Hours that are enough: with the roll that passes it the answer ends.
            stream: Only of this one.
            account: Only of this one.
        """
        columns = viewer_hours.c
        wanted = [columns.revision > after]
        if stream is not None:
            wanted.append(columns.stream == stream)
        if account is not None:
            wanted.append(columns.account == account)
        with self._reading() as connection:
            last = connection.execute(
                select(columns.revision)
                .where(*wanted)
                .order_by(columns.revision)
                .offset(limit - 1)
                .limit(1)
            ).scalar_one_or_none()
            if last is not None:
                wanted.append(columns.revision <= last)
            rows = connection.execute(
                select(viewer_hours)
                .where(*wanted)
                .order_by(
                    columns.revision, columns.stream, columns.hour, columns.account, columns.version
                )
            ).all()
        return [
            ViewerHour(
                row.stream, row.hour, row.account, row.version, bytes(row.minutes), row.revision
            )
            for row in rows
        ]


def _has_unrolled(connection: Connection) -> bool:
    newest = connection.execute(select(func.max(schema.cuts.c.id))).scalar_one()
    if newest is not None and newest > meta_int(connection, ROLLED):
        return True
    return connection.execute(select(usage_backlog.c.id).limit(1)).scalar_one_or_none() is not None


def _next_lines(connection: Connection, lines_max: int) -> tuple[int, Sequence[Row[Any]]]:
    """Return the newest cut to be rolled up, and the lines of all up to it that are not yet."""
    cuts, lines = schema.cuts.c, schema.cut_lines.c
    rolled = meta_int(connection, ROLLED)
    at_most = connection.execute(
        select(lines.cut).where(lines.cut > rolled).order_by(lines.cut).offset(lines_max).limit(1)
    ).scalar_one_or_none()
    if at_most is None:
        newest: int = connection.execute(select(func.max(cuts.id))).scalar_one()
    else:
        # A cut is taken whole; a single one that is larger too.
        first = connection.execute(
            select(func.min(lines.cut)).where(lines.cut > rolled)
        ).scalar_one()
        newest = max(at_most - 1, first)
    query = select(schema.cut_lines).where(lines.cut > rolled, lines.cut <= newest)
    return newest, connection.execute(query).all()


def _add(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    """Add the ticks of some lines: each is new, as a viewer has a tick of a stream once."""
    prices = prices_of(connection, {row.stream for row in rows})
    hours: dict[HourKey, list[int]] = defaultdict(lambda: [0] * HOUR_MINUTES)
    minutes: dict[tuple[UUID, int], _Minute] = defaultdict(_Minute)
    for row in rows:
        price = prices[row.stream, row.version]
        for minute, first, count in usage.by_minute(tick_runs.from_text(row.runs)):
            hour, place = divmod(minute, HOUR_MINUTES)
            hours[row.stream, hour, row.account, row.version][place] += count
            of_stream = minutes[row.stream, minute]
            of_stream.planck += count * price
            for second in range(first, first + count):
                of_stream.seconds[second] += 1

    known = _known_hours(connection, hours)
    new_viewers = _new_viewers(hours, known)
    _put_hours(connection, hours, known)
    _put_minutes(connection, minutes, new_viewers)


def _known_hours(connection: Connection, hours: dict[HourKey, list[int]]) -> dict[HourKey, bytes]:
    """Return what is counted already of the viewers and hours of `hours`, of all versions."""
    columns = viewer_hours.c
    accounts: dict[tuple[UUID, int], set[AccountId]] = defaultdict(set)
    for stream, hour, account, _ in hours:
        accounts[stream, hour].add(account)
    known: dict[HourKey, bytes] = {}
    for (stream, hour), those in accounts.items():
        for some in chunks(sorted(those)):
            for row in connection.execute(
                select(viewer_hours).where(
                    columns.stream == stream, columns.hour == hour, columns.account.in_(some)
                )
            ):
                known[row.stream, row.hour, row.account, row.version] = bytes(row.minutes)
    return known


def _new_viewers(
    hours: dict[HourKey, list[int]], known: dict[HourKey, bytes]
) -> dict[tuple[UUID, int], int]:
    """Return how many viewers of each minute were not counted in it."""
    seen = {
        (stream, hour * HOUR_MINUTES + place, account)
        for (stream, hour, account, _), minutes in known.items()
        for place, ticks in enumerate(minutes)
        if ticks
    }
    counts: dict[tuple[UUID, int], int] = defaultdict(int)
    for (stream, hour, account, _), minutes in hours.items():
        for place, ticks in enumerate(minutes):
            viewer = (stream, hour * HOUR_MINUTES + place, account)
            if ticks and viewer not in seen:
                seen.add(viewer)
                counts[viewer[:2]] += 1
    return counts


def _put_hours(
    connection: Connection, hours: dict[HourKey, list[int]], known: dict[HourKey, bytes]
) -> None:
    revision = meta_int(connection, _REVISION) + 1
    put_meta(connection, _REVISION, str(revision))
    rows = []
    for key, more in hours.items():
        stream, hour, account, version = key
        minutes = usage.added(known.get(key, bytes(HOUR_MINUTES)), more)
        rows.append(
            {
                "stream": stream,
                "hour": hour,
                "account": account,
                "version": version,
                "minutes": minutes,
                "ticks": sum(minutes),
                "revision": revision,
            }
        )
    upsert(connection, viewer_hours, rows, ("minutes", "ticks", "revision"))


def _put_minutes(
    connection: Connection,
    minutes: dict[tuple[UUID, int], _Minute],
    new_viewers: dict[tuple[UUID, int], int],
) -> None:
    columns = stream_minutes.c
    by_stream: dict[UUID, list[int]] = defaultdict(list)
    for stream, minute in minutes:
        by_stream[stream].append(minute)
    known: dict[tuple[UUID, int], Row[Any]] = {}
    for stream, those in by_stream.items():
        for some in chunks(those):
            for row in connection.execute(
                select(stream_minutes).where(columns.stream == stream, columns.minute.in_(some))
            ).all():
                known[row.stream, row.minute] = row

    rows = []
    for (stream, minute), more in minutes.items():
        last = known.get((stream, minute))
        before = [0] * MINUTE_TICKS if last is None else usage.seconds_of(last.seconds)
        seconds = [count + new for count, new in zip(before, more.seconds, strict=True)]
        rows.append(
            {
                "stream": stream,
                "minute": minute,
                "viewers": (last.viewers if last else 0) + new_viewers.get((stream, minute), 0),
                "peak": max(seconds),
                "ticks": sum(seconds),
                "planck": Planck((last.planck if last else 0) + more.planck),
                "seconds": usage.seconds_text(seconds),
            }
        )
    upsert(
        connection,
        stream_minutes,
        rows,
        ("viewers", "peak", "ticks", "planck", "seconds"),
    )


def oldest_hour(now_ms: int, kept_days: int) -> int:
    """Return the oldest hour of which minutes are kept."""
    return now_ms // 1000 // HOUR_TICKS - kept_days * 24
