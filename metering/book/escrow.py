"""What came from the chain: deposits, withdrawals and their requests, and the cursor.

Everything of some finalized blocks is written in one transaction together with the cursor, so
each event is in the book once, however often the follower starts again.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from metering.book import escrow_schema as tables
from metering.book import schema
from metering.book.engine import upsert
from metering.book.given_back import given_back
from metering.book.joins import take_joins
from metering.book.postings import post
from metering.book.records import Cursor, Funds, Taken
from metering.book.returns import returned
from metering.book.rows import Repository, chunks
from metering.errors import OtherChainError
from metering.model.escrow_events import (
    EscrowEvent,
    EventBlock,
    JoinKey,
    Kind,
    escrow_events,
    frozen_after,
    join_events,
)
from metering.model.ledger import deposit_postings, withdrawal_postings
from metering.units import AccountId, Planck, shard_of

_CURSOR_ID: Final = 1
_NONE: Final = Planck(0)


class EscrowRepository(Repository):
    """Reads and writes what came from the chain."""

    def cursor(self) -> Cursor | None:
        """Return the newest finalized block whose events are in the book; None before the first."""
        with self._reading() as connection:
            return _cursor(connection)

    def begin(self, cursor: Cursor) -> None:
        """Set the block after which to read on; only once, before the first block is taken.

        Raises:
            OtherChainError: If the book follows a chain already, from another block.
        """
        with self._writing() as connection:
            known = _cursor(connection)
            if known is not None and known != cursor:
                raise OtherChainError(f"the book has taken block {known.number} already")
            _put_cursor(connection, cursor)

    def take_blocks(self, blocks: Sequence[EventBlock], operator: AccountId, now_ms: int) -> Taken:
        """Write the events of some finalized blocks, in one transaction, and move the cursor.

        Args:
            blocks: In order, without a gap; those at or below the cursor are passed over.

        Returns:
            Whose balances and joins have changed.

        Raises:
            OtherChainError: If the blocks do not go on where the book is. Nothing is written.
            InvalidValueError: If an event is not of the pallet of this release. Nothing is written.
        """
        accounts: set[AccountId] = set()
        joined: set[JoinKey] = set()
        with self._writing() as connection:
            cursor = _cursor(connection)
            if cursor is None:
                raise OtherChainError("the book does not follow a chain yet: `begin_chain` first")
            for block in blocks:
                if block.number <= cursor.number:
                    continue
                if (block.number, block.parent) != (cursor.number + 1, cursor.hash):
                    raise OtherChainError(
                        f"block {block.number} with parent 0x{block.parent.hex()} does not go on "
                        f"from block {cursor.number}, 0x{cursor.hash.hex()}, that the book has "
                        "taken as final: the node follows another chain, or its chain was begun "
                        "anew; connect the right node, or begin with a new book"
                    )
                for event in escrow_events(block, operator):
                    _take(connection, event, now_ms)
                    accounts.add(event.account)
                joined |= take_joins(connection, join_events(block))
                cursor = Cursor(cursor.genesis, block.number, block.hash, block.at_s)
            _put_cursor(connection, cursor)
        return Taken(cursor, frozenset(accounts), frozenset(joined))

    def funds(self, accounts: Iterable[AccountId]) -> tuple[Cursor | None, dict[AccountId, Funds]]:
        """Return what some viewers paid in, took out and request, and as of which block.

        Who is no viewer is left out.
        """
        wanted = list(dict.fromkeys(accounts))
        funds_of_accounts: dict[AccountId, Funds] = {}
        with self._reading() as connection:
            for some in chunks(wanted):
                funds_of_accounts |= funds_of(connection, some)
            return _cursor(connection), funds_of_accounts

    def funds_of_shard(self, shard: int) -> dict[AccountId, Funds]:
        """Return the same of every viewer of a shard, nothing included."""
        viewers = schema.viewers.c
        with self._reading() as connection:
            accounts = connection.execute(
                select(viewers.account).where(viewers.shard == shard)
            ).scalars()
            by_account: dict[AccountId, Funds] = {}
            for some in chunks(list(accounts)):
                by_account |= funds_of(connection, some)
            return by_account

    def frozen(self, accounts: Iterable[AccountId]) -> dict[AccountId, Planck]:
        """Return what some accounts, viewers or not, request for withdrawal as of the cursor."""
        by_account: dict[AccountId, Planck] = {}
        with self._reading() as connection:
            for some in chunks(list(accounts)):
                by_account |= _frozen(connection, some)
        return by_account

    def withdrawals(self) -> dict[AccountId, Planck]:
        """Return what each viewer took out of their escrow in all."""
        sums: dict[AccountId, int] = defaultdict(int)
        withdrawals = tables.withdrawals.c
        with self._reading() as connection:
            for row in connection.execute(select(withdrawals.account, withdrawals.planck)):
                sums[row.account] += row.planck
        return {account: Planck(planck) for account, planck in sums.items()}

    def history(self, account: AccountId | None = None) -> list[EscrowEvent]:
        """Return the escrow events that the book has, of one account or of all, in chain order."""
        events = tables.escrow_events
        with self._reading() as connection:
            query = select(events).order_by(events.c.number, events.c.position)
            if account is not None:
                query = query.where(events.c.account == account)
            return [_event_of(row) for row in connection.execute(query)]


def adopt(connection: Connection, account: AccountId, now_ms: int) -> None:
    """Book the events of an account from before it was a viewer here."""
    events = tables.escrow_events
    for row in connection.execute(
        select(events)
        .where(events.c.account == account)
        .order_by(events.c.number, events.c.position)
    ).all():
        _book(connection, _event_of(row), now_ms)


def funds_of(connection: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, Funds]:
    """Return what accounts paid in, took out and request; of those that are viewers."""
    viewers, deposits = schema.viewers.c, schema.deposits.c
    withdrawals = tables.withdrawals.c
    known = connection.execute(
        select(viewers.account).where(viewers.account.in_(accounts))
    ).scalars()
    sums = {account: [0, 0] for account in known}
    for index, table, columns in (
        (0, schema.deposits, deposits),
        (1, tables.withdrawals, withdrawals),
    ):
        for row in connection.execute(
            select(columns.account, columns.planck)
            .select_from(table)
            .where(columns.account.in_(accounts))
        ):
            sums[row.account][index] += row.planck
    for account, planck in returned(connection, accounts).items():
        sums[account][1] += planck
    for account, planck in given_back(connection, accounts).items():
        sums[account][0] += planck
    frozen = _frozen(connection, accounts)
    adopted = _adopted(connection, accounts)
    return {
        account: Funds(
            Planck(paid),
            Planck(out),
            frozen.get(account, _NONE),
            Planck(adopted.get(account, 0)),
        )
        for account, (paid, out) in sums.items()
    }


def _take(connection: Connection, event: EscrowEvent, now_ms: int) -> None:
    """Write one finalized escrow event and what follows from it."""
    # The event itself, as it is on the chain.
    connection.execute(
        insert(tables.escrow_events).values(
            number=event.number,
            position=event.position,
            hash=event.hash,
            kind=event.kind.value,
            account=event.account,
            planck=event.planck,
            ready_s=event.ready_s,
        )
    )

    # A withdrawal that is asked for, made or taken back changes what is frozen.
    if event.kind is not Kind.DEPOSIT:
        before = _frozen(connection, [event.account]).get(event.account, _NONE)
        upsert(
            connection,
            tables.frozen,
            [
                {
                    "account": event.account,
                    "shard": shard_of(event.account),
                    "planck": frozen_after(before, event),
                    "ready_s": event.ready_s,
                }
            ],
            ("planck", "ready_s"),
        )

    # Another account's events are booked when it becomes a viewer (`adopt`).
    viewers = schema.viewers.c
    if connection.execute(
        select(viewers.account).where(viewers.account == event.account)
    ).one_or_none():
        _book(connection, event, now_ms)


def _book(connection: Connection, event: EscrowEvent, now_ms: int) -> None:
    """Write the row and the postings of money that came or left."""
    if event.kind is Kind.REQUEST or not event.planck:
        return
    if event.kind is Kind.DEPOSIT:
        connection.execute(
            insert(schema.deposits).values(
                idempotency_key=event.reference,
                body_hash=hashlib.sha256(event.hash).digest(),
                account=event.account,
                planck=event.planck,
                memo=f"escrow, block 0x{event.hash.hex()}",
                created_ms=now_ms,
            )
        )
        lines = deposit_postings(event.account, event.planck)
    else:
        connection.execute(
            insert(tables.withdrawals).values(
                reference=event.reference,
                account=event.account,
                planck=event.planck,
                created_ms=now_ms,
            )
        )
        lines = withdrawal_postings(event.account, event.planck)
    post(connection, event.kind.value, event.reference, now_ms, lines)


def _frozen(connection: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, Planck]:
    frozen = tables.frozen.c
    return {
        row.account: row.planck
        for row in connection.execute(
            select(frozen.account, frozen.planck).where(frozen.account.in_(accounts))
        )
    }


def _adopted(connection: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, int]:
    """Return what the chain took for ticks of a book that was lost; mostly nothing."""
    entries, prices = schema.entries.c, schema.prices.c
    sums: dict[AccountId, int] = defaultdict(int)
    for row in connection.execute(
        select(entries.account, entries.ahead, prices.planck_per_tick)
        .join_from(
            schema.entries,
            schema.prices,
            (prices.stream == entries.stream) & (prices.number == entries.version),
        )
        .where(entries.account.in_(accounts), entries.ahead > 0)
    ):
        sums[row.account] += row.ahead * row.planck_per_tick
    return sums


def _cursor(connection: Connection) -> Cursor | None:
    row = connection.execute(select(tables.chain_cursor)).one_or_none()
    return None if row is None else Cursor(row.genesis, row.number, row.hash, row.at_s)


def _put_cursor(connection: Connection, cursor: Cursor) -> None:
    row = {
        "id": _CURSOR_ID,
        "genesis": cursor.genesis,
        "number": cursor.number,
        "hash": cursor.hash,
        "at_s": cursor.at_s,
    }
    upsert(connection, tables.chain_cursor, [row], ("number", "hash", "at_s"))


def _event_of(row: Row[Any]) -> EscrowEvent:
    return EscrowEvent(
        row.number,
        row.hash,
        row.position,
        Kind(row.kind),
        row.account,
        row.planck,
        row.ready_s,
    )
