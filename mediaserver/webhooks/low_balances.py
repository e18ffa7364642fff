"""Which viewers who play run out of money: each told once, in the transaction that keeps it.

A balance is that of the book, a round of cuts behind the store's. What a pass or a cap for a show
covers is not looked at: who has one is told all the same when their balance is low.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select

from mediaserver.webhooks.records import Event, EventKind
from mediaserver.webhooks.schema import low
from mediaserver.webhooks.told_facts import stream_of
from metering.book import schema as book_schema
from metering.book.book import Book
from metering.model import price
from metering.model.ledger import balance_and_debt
from metering.model.named_prices import prices_of
from metering.units import AccountId, Planck, account_text

FORGET_MS: Final = 30 * 86_400_000
"""Who comes back with the same low balance after a month is told of again."""
BALANCE: Final = "balance"
"""Why they are stopped."""


class BalanceState(StrEnum):
    """How far somebody is from the end of their money, on one stream."""

    GOOD = "good"
    LOW = "low"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Change:
    """A viewer of a stream is in another state than was told.

    Attributes:
        second: What one second costs them, above 0.
    """

    account: AccountId
    stream: UUID
    before: BalanceState
    state: BalanceState
    balance: Planck
    second: Planck


def state_of(balance: Planck, second: Planck, low_s: int) -> BalanceState:
    """Return how far a balance reaches at a price above 0."""
    if balance < second:
        return BalanceState.ENDED
    return BalanceState.LOW if balance < second * low_s else BalanceState.GOOD


def look(book: Book, now_ms: int, low_s: int) -> list[Change]:
    """Return what changed for those who play; a few queries, however many they are.

    Args:
        low_s: A balance that pays for fewer seconds is low.
    """
    with book.viewing() as connection:
        playing = _playing(connection, now_ms)
        known = {
            (AccountId(bytes(row.account)), row.stream): BalanceState(row.state)
            for row in connection.execute(select(low))
        }
    if not playing:
        return []
    watched = {at[1] for at in playing}
    streams = {stream.id: stream for stream in book.streams.some(watched)}
    named = {stream: book.named_prices.of(stream) for stream in watched}
    accounts = list({account for account, _ in playing})
    stayed = {viewer.account: viewer.stayed for viewer in book.viewers.some(accounts)}
    spent = book.cuts.spent_by(accounts)
    changes = []
    for account, stream in playing:
        prices = prices_of(streams[stream].prices, named[stream].get(account, ()))
        version = price.in_force(prices, now_ms // 1000)
        if account not in stayed or version is None or not version.planck_per_tick:
            continue
        balance, _ = balance_and_debt(stayed[account], spent[account])
        before = known.get((account, stream), BalanceState.GOOD)
        state = state_of(balance, version.planck_per_tick, low_s)
        if state is not before:
            changes.append(Change(account, stream, before, state, balance, version.planck_per_tick))
    return changes


def keep(connection: Connection, changes: Sequence[Change], now_ms: int) -> list[Event]:
    """Write down what changed; return what is told of it, each crossing once."""
    connection.execute(delete(low).where(low.c.since_ms < now_ms - FORGET_MS))
    events = []
    for change in changes:
        is_it = (low.c.account == change.account) & (low.c.stream == change.stream)
        kept = connection.execute(select(low.c.state).where(is_it)).scalar_one_or_none()
        if BalanceState(kept or "good") is not change.before:
            continue  # another look told it
        connection.execute(delete(low).where(is_it))
        if change.state is not BalanceState.GOOD:
            connection.execute(
                insert(low).values(
                    account=change.account,
                    stream=change.stream,
                    state=change.state.value,
                    since_ms=now_ms,
                )
            )
        if (event := _event(connection, change, now_ms)) is not None:
            events.append(event)
    return events


def _event(connection: Connection, change: Change, now_ms: int) -> Event | None:
    """Return what is told; a balance that was filled a little, and is low still, is no news."""
    data: dict[str, Any] = {
        "stream": stream_of(connection, change.stream),
        "account": account_text(change.account),
    }
    match change.state:
        case BalanceState.ENDED:
            data |= {"session": None, "reason": BALANCE}
            return Event(EventKind.VIEWER_STOPPED, change.stream.hex, now_ms, data)
        case BalanceState.LOW if change.before is BalanceState.GOOD:
            left_s = change.balance // change.second
            data |= {"balance_planck": str(change.balance), "seconds_left": left_s}
            return Event(EventKind.VIEWER_LOW, change.stream.hex, now_ms, data)
        case _:
            return None


def _playing(connection: Connection, now_ms: int) -> set[tuple[AccountId, UUID]]:
    """Return who has a player of which stream."""
    sessions = book_schema.sessions.c
    query = select(sessions.account, sessions.stream).distinct()
    rows = connection.execute(
        query.where(
            sessions.ends_ms > now_ms, sessions.ended_ms.is_(None), sessions.expires_ms > now_ms
        )
    )
    return {(AccountId(bytes(row.account)), row.stream) for row in rows}
