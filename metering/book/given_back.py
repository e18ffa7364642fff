"""What was given back of bad seconds, as rows: sums, ticks, and the receipts that name them.

What writes them: bad_seconds.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, select, update

from metering.book.bad_seconds_schema import given_back as _given
from metering.book.rows import Repository, chunks, key_of
from metering.book.stream_rows import prices_of
from metering.model import tick_runs, ticks
from metering.model.watch_history import WatchedTicks
from metering.units import AccountId, EntryKey, Planck, Run

_WAITING_MAX: Final = 20_000
"""Viewers and streams in one transaction, as many as lines of cuts."""


@dataclass(frozen=True, slots=True)
class BackTicks:
    """What was given back of an entry by one rule at one time."""

    rule: int
    key: EntryKey
    runs: ticks.Runs
    planck: Planck


class GivenBackRepository(Repository):
    """Reads what was given back."""

    def all(self) -> list[BackTicks]:
        """Return everything that was given back, the oldest first."""
        with self._reading() as connection:
            query = select(_given).order_by(_given.c.number)
            return [
                BackTicks(row.rule, key_of(row), tick_runs.from_text(row.runs), row.planck)
                for row in connection.execute(query)
            ]

    def of(self, account: AccountId) -> list[WatchedTicks]:
        """Return what an account was given back, each tick once, with what it had cost."""
        with self._reading() as connection:
            rows = connection.execute(select(_given).where(_given.c.account == account)).all()
            prices = prices_of(connection, {row.stream for row in rows})
            return [
                WatchedTicks(
                    row.stream,
                    tick_runs.from_text(row.runs),
                    prices[row.stream, row.version],
                    is_back=True,
                )
                for row in rows
            ]

    def accounts(self, *, rule: int | None = None, seq: int | None = None) -> list[AccountId]:
        """Return who was given something back by a rule at once, or with a batch."""
        query = select(_given.c.account).distinct()
        query = (
            query.where(_given.c.rule == rule) if seq is None else query.where(_given.c.seq == seq)
        )
        with self._reading() as connection:
            return [AccountId(account) for account in connection.execute(query).scalars()]


def given_back(
    connection: Connection, accounts: Sequence[AccountId] | None = None
) -> dict[AccountId, Planck]:
    """Return what accounts were given back, all where none are named; nothing is left out."""
    query = select(_given.c.account, _given.c.planck)
    queries = [query]
    if accounts is not None:
        queries = [query.where(_given.c.account.in_(some)) for some in chunks(accounts)]
    sums: dict[AccountId, int] = defaultdict(int)
    for each in queries:
        for row in connection.execute(each):
            sums[AccountId(row.account)] += row.planck
    return {account: Planck(planck) for account, planck in sums.items()}


def had(
    connection: Connection, stream: UUID, accounts: Sequence[AccountId]
) -> tuple[dict[AccountId, ticks.Runs], dict[EntryKey, int]]:
    """Return what accounts were given back of a stream: which ticks, and how many of each entry."""
    runs: dict[AccountId, list[Run]] = defaultdict(list)
    counts: dict[EntryKey, int] = defaultdict(int)
    for some in chunks(accounts):
        query = select(_given).where(_given.c.account.in_(some), _given.c.stream == stream)
        for row in connection.execute(query):
            runs[AccountId(row.account)].extend(tick_runs.from_text(row.runs))
            counts[key_of(row)] += row.ticks
    return {account: ticks.normal(those) for account, those in runs.items()}, counts


def unreceipted(
    connection: Connection, account: AccountId, stream: UUID
) -> Mapping[tuple[int, int], ticks.Runs]:
    """Return what was given back and is in no receipt yet, by join number and price version."""
    c = _given.c
    fresh: dict[tuple[int, int], list[Run]] = defaultdict(list)
    query = select(_given).where(c.receipt.is_(None), c.account == account, c.stream == stream)
    for row in connection.execute(query):
        fresh[row.join, row.version].extend(tick_runs.from_text(row.runs))
    return {at: ticks.normal(runs) for at, runs in fresh.items()}


def set_receipt(connection: Connection, account: AccountId, stream: UUID, number: int) -> None:
    """Note that a receipt names all that `unreceipted` returned."""
    c = _given.c
    connection.execute(
        update(_given)
        .where(c.receipt.is_(None), c.account == account, c.stream == stream)
        .values(receipt=number)
    )


def waiting_for_receipts(
    connection: Connection, account: AccountId | None, made_ms: int | None = None
) -> list[tuple[AccountId, UUID]]:
    """Return viewers and streams of which something given back is in no receipt yet.

    Args:
        account: Only this viewer's; None: all viewers'.
        made_ms: Only what was given back by then, Unix ms.
    """
    c = _given.c
    query = select(c.account, c.stream).where(c.receipt.is_(None)).distinct()
    if account is not None:
        query = query.where(c.account == account)
    if made_ms is not None:
        query = query.where(c.created_ms <= made_ms)
    rows = connection.execute(query.order_by(c.account, c.stream).limit(_WAITING_MAX))
    return [(AccountId(row.account), row.stream) for row in rows]
