"""Bad seconds as rows: standing rules, what they gave back, and the postings of that.

A rule and what it gives back at once are one transaction; what it gives back later is part of the
transaction that settles it (settlements.py calls `give_back_settled`).

Source: docs/metering.md, "Bad seconds".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from metering.book import schema
from metering.book.bad_seconds_schema import bad_seconds as _rules
from metering.book.bad_seconds_schema import given_back as _given
from metering.book.given_back import had
from metering.book.postings import post
from metering.book.rows import Repository, accounts_of, chunks, key_of, key_values
from metering.book.split_rows import version_shares
from metering.book.stream_rows import prices_of
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model import tick_runs, ticks
from metering.model.bad_seconds import RANGE_MAX_S, RULES_MAX, BackLine, BadSeconds, back_lines
from metering.model.ledger import Role, Settled, cost, give_back_postings
from metering.model.statement import Move
from metering.units import HOUR_TICKS, AccountId, EntryKey, Planck, Run

BAD_SECONDS_KIND: Final = "bad_seconds"
"""Of its transfers."""


class BadSecondsRepository(Repository):
    """Reads and writes bad seconds."""

    def add(
        self,
        wanted: BadSeconds,
        now_ms: int,
        *,
        keeps: Mapping[AccountId, Planck] | None = None,
    ) -> tuple[BadSeconds, bool]:
        """Make a rule, and give back what has settled of its range; the key again changes nothing.

        Args:
            wanted: Its `number`, `seconds` and `planck` are not read.
            keeps: Of what creator and payees earned with the stream so much has to be left to
                each, 0 where they are not named, or nothing is done; None: what was paid out to
                them becomes a debt.

        Returns:
            The rule with what it gave back, and whether it is new.

        Raises:
            UnknownNameError: There is no such stream.
            InvalidValueError: The range is none or too long, there are too many rules of the
                stream, or too little would be left to one who earns of it.
            IdempotencyConflictError: The key was used for another range.
        """
        if not 0 < wanted.run.count <= RANGE_MAX_S or wanted.run.first < 0:
            raise InvalidValueError(
                f"{wanted.run.count} seconds: a range has 1 to {RANGE_MAX_S}; give back a longer "
                "one in parts"
            )
        with self._writing() as connection:
            known = connection.execute(
                select(_rules).where(_rules.c.stream == wanted.stream, _rules.c.key == wanted.key)
            ).one_or_none()
            if known is not None:
                rule = _rule(known)
                if (rule.run, rule.show) != (wanted.run, wanted.show):
                    raise IdempotencyConflictError(
                        f"idempotency key {wanted.key!r} was used for another range of this "
                        "stream; use a new key for a new one"
                    )
                return rule, False
            streams = schema.streams.c
            known_stream = select(streams.id).where(streams.id == wanted.stream)
            if connection.execute(known_stream).one_or_none() is None:
                raise UnknownNameError(f"there is no stream {wanted.stream}")
            of_stream = select(func.count()).where(_rules.c.stream == wanted.stream)
            if connection.execute(of_stream).scalar_one() >= RULES_MAX:
                raise InvalidValueError(f"no more than {RULES_MAX} ranges of a stream go back")
            number = connection.execute(
                insert(_rules)
                .values(
                    stream=wanted.stream,
                    key=wanted.key,
                    show=wanted.show,
                    first_tick=wanted.run.first,
                    end_tick=wanted.run.end,
                    why=wanted.why,
                    made_by=wanted.made_by,
                    created_ms=now_ms,
                    seconds=0,
                    planck=Planck(0),
                )
                .returning(_rules.c.number)
            ).scalar_one()
            settled = _settled_in(connection, wanted.stream, wanted.run)
            _give_back(connection, wanted.stream, [(number, wanted.run)], settled, None, now_ms)
            row = connection.execute(select(_rules).where(_rules.c.number == number)).one()
            if keeps is not None and row.planck:
                _hold_no_debt(connection, wanted.stream, keeps)
        return _rule(row), True

    def page(
        self, stream: UUID, limit: int, before: int | None = None
    ) -> list[tuple[BadSeconds, int]]:
        """Return rules of a stream, the newest first, each with how many viewers it paid back.

        Args:
            before: Number of the rule behind which the page begins.
        """
        query = select(_rules).where(_rules.c.stream == stream)
        if before is not None:
            query = query.where(_rules.c.number < before)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(_rules.c.number.desc()).limit(limit)).all()
            return [(_rule(row), viewers) for row, viewers in _with_viewers(connection, rows)]

    def get(self, stream: UUID, number: int) -> tuple[BadSeconds, int]:
        """Return a rule of a stream, and how many viewers it paid back.

        Raises:
            UnknownNameError: There is none.
        """
        found = self.page(stream, 1, number + 1)
        if not found or found[0][0].number != number:
            raise UnknownNameError(f"there are no bad seconds {number} of this stream")
        return found[0]

    def notes(self, stream: UUID, moves: Iterable[Move]) -> dict[str, str]:
        """Return why each move of bad seconds was made, by its reference."""
        wanted = [move.reference for move in moves if move.kind == BAD_SECONDS_KIND]
        query = select(_rules.c.number, _rules.c.why).where(_rules.c.stream == stream)
        with self._reading() as connection:
            whys = {str(row.number): row.why for row in connection.execute(query)}
        return {reference: whys[reference.partition("-")[0]] for reference in wanted}

    def all(self) -> list[BadSeconds]:
        """Return every rule, in the order in which they were made."""
        with self._reading() as connection:
            query = select(_rules).order_by(_rules.c.number)
            return [_rule(row) for row in connection.execute(query)]


def give_back_settled(connection: Connection, seq: int, now_ms: int) -> None:
    """Give back what a batch that is final now settled within the ranges of rules."""
    # Most streams have no rule, and most lines of those that have are in no range.
    cuts, lines = schema.cuts.c, schema.cut_lines.c
    query = _settled_lines().where(cuts.batch_seq == seq, lines.stream.in_(select(_rules.c.stream)))
    rows: dict[UUID, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(query):
        rows[row.stream].append(row)
    for stream, of_stream in rows.items():
        found = connection.execute(
            select(_rules).where(_rules.c.stream == stream).order_by(_rules.c.number)
        )
        rules = [(row.number, _run(row)) for row in found]
        ranges = ticks.normal(run for _, run in rules)
        settled: dict[EntryKey, list[Run]] = defaultdict(list)
        for row in of_stream:
            _add_within(settled, row, ranges)
        _give_back(connection, stream, rules, _normal(settled), seq, now_ms)


def _settled_in(connection: Connection, stream: UUID, run: Run) -> dict[EntryKey, ticks.Runs]:
    """Return the ticks of a range that are billed and final, by entry."""
    lines, history, entries = schema.cut_lines.c, schema.history.c, schema.entries.c
    found: dict[EntryKey, list[Run]] = defaultdict(list)
    for row in connection.execute(_settled_lines().where(lines.stream == stream)):
        _add_within(found, row, (run,))

    # Merged lines are final. Of an entry that a chain refused it is not known which of them are:
    # it waits until it has settled.
    merged = (
        select(schema.history)
        .join(schema.entries, _same_entry(history, entries))
        .where(
            history.stream == stream,
            history.hour.between(run.first // HOUR_TICKS, (run.end - 1) // HOUR_TICKS),
            entries.refused <= entries.settled,
        )
    )
    for row in connection.execute(merged):
        _add_within(found, row, (run,))
    return _normal(found)


def _settled_lines() -> Select[Any]:
    """Return the query of cut lines whose ticks are final: counted in what their entry settled."""
    cuts, lines, entries = schema.cuts.c, schema.cut_lines.c, schema.entries.c
    return (
        select(schema.cut_lines)
        .join(schema.cuts, cuts.id == lines.cut)
        .join(schema.entries, _same_entry(lines, entries))
        .where(entries.settled >= lines.cumulative)
    )


def _same_entry(one: Any, other: Any) -> Any:
    return (
        (one.account == other.account)
        & (one.stream == other.stream)
        & (one.join == other.join)
        & (one.version == other.version)
    )


def _add_within(found: dict[EntryKey, list[Run]], row: Row[Any], ranges: ticks.Runs) -> None:
    """Add the ticks of a line that are in `ranges`, of which only those near it are looked at."""
    runs = tick_runs.from_text(row.runs)
    start = bisect_right(ranges, runs[0].first, key=lambda run: run.end)
    stop = bisect_left(ranges, runs[-1].end, key=lambda run: run.first)
    inside = ticks.intersection(runs, ranges[start:stop]) if start < stop else ()
    if inside:
        found[key_of(row)].extend(inside)


def _normal(found: Mapping[EntryKey, Iterable[Run]]) -> dict[EntryKey, ticks.Runs]:
    return {key: ticks.normal(found[key]) for key in sorted(found, key=_order)}


def _order(key: EntryKey) -> tuple[bytes, int, int]:
    return key.account, key.join, key.version


def _give_back(  # noqa: PLR0917 -- one transaction
    connection: Connection,
    stream: UUID,
    rules: Sequence[tuple[int, Run]],
    settled: Mapping[EntryKey, ticks.Runs],
    seq: int | None,
    now_ms: int,
) -> None:
    """Write and post what rules give back of settled ticks, one transfer for each rule."""
    if not settled:
        return
    known, counts = had(connection, stream, accounts_of(list(settled)))
    lines = back_lines(rules, settled, known)
    streams = schema.streams.c
    terms = connection.execute(
        select(streams.creator, streams.platform_fee_ppm).where(streams.id == stream)
    ).one()
    prices = prices_of(connection, [stream])
    shares = version_shares(connection, [stream])
    by_rule: dict[int, list[BackLine]] = defaultdict(list)
    for line in lines:
        by_rule[line.rule].append(line)
    for number, parts in sorted(by_rule.items()):
        moved, rows, seconds, planck = [], [], 0, 0
        for line in parts:
            price, count = prices[stream, line.key.version], ticks.count(line.runs)
            before = counts.get(line.key, 0)
            counts[line.key] = before + count
            moved.append(
                Settled(
                    line.key,
                    before,
                    before + count,
                    price,
                    terms.platform_fee_ppm,
                    AccountId(terms.creator),
                    shares.get((stream, line.key.version), ()),
                )
            )
            rows.append(
                {
                    "rule": number,
                    **key_values(line.key),
                    "seq": seq,
                    "runs": tick_runs.to_text(line.runs),
                    "ticks": count,
                    "planck": cost(count, price),
                    "created_ms": now_ms,
                }
            )
            seconds, planck = seconds + count, planck + cost(count, price)
        connection.execute(insert(_given), rows)
        reference = str(number) if seq is None else f"{number}-{seq}"
        post(connection, BAD_SECONDS_KIND, reference, now_ms, give_back_postings(moved))
        before_row = connection.execute(select(_rules).where(_rules.c.number == number)).one()
        connection.execute(
            update(_rules)
            .where(_rules.c.number == number)
            .values(seconds=before_row.seconds + seconds, planck=Planck(before_row.planck + planck))
        )


def _hold_no_debt(connection: Connection, stream: UUID, keeps: Mapping[AccountId, Planck]) -> None:
    """Raise unless so much is left of what creator and payees earned with a stream."""
    postings = schema.postings.c
    query = select(postings.account, postings.planck).where(
        postings.role == Role.CREATOR.value, postings.stream == stream
    )
    left: dict[AccountId, int] = defaultdict(int)
    for row in connection.execute(query):
        left[AccountId(row.account)] += row.planck
    owed = sum(max(0, keeps.get(account, 0) - planck) for account, planck in left.items())
    if owed:
        raise InvalidValueError(
            f"{owed} planck of what the creator and payees earned were paid out already, or are "
            "asked for: finance may give these seconds back, as a debt of what the stream earns "
            "next"
        )


def _with_viewers(connection: Connection, rows: Sequence[Row[Any]]) -> list[tuple[Row[Any], int]]:
    counts: dict[int, int] = {}
    for some in chunks([row.number for row in rows]):
        query = (
            select(_given.c.rule, func.count(_given.c.account.distinct()).label("viewers"))
            .where(_given.c.rule.in_(some))
            .group_by(_given.c.rule)
        )
        counts.update((row.rule, row.viewers) for row in connection.execute(query))
    return [(row, counts.get(row.number, 0)) for row in rows]


def _rule(row: Row[Any]) -> BadSeconds:
    return BadSeconds(
        row.number,
        row.key,
        row.stream,
        row.show,
        _run(row),
        row.why,
        row.made_by,
        row.created_ms,
        row.seconds,
        row.planck,
    )


def _run(row: Row[Any]) -> Run:
    return Run(row.first_tick, row.end_tick - row.first_tick)
