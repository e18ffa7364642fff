"""Joins on the chain: their caps bound what a viewer spends on a stream, and when it ends.

They are written with the blocks that opened and ended them (escrow.py), and in that transaction.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, or_, select

from metering.book import escrow_schema as tables
from metering.book import schema
from metering.book.engine import upsert
from metering.book.meta import meta, put_meta
from metering.book.rows import Repository
from metering.model.escrow_events import JoinEvent, JoinKey, concerns, joins_after
from metering.model.join_caps import Join, JoinLimits
from metering.units import AccountId, Planck, shard_of

_LIMITS: Final = "join-limits"


class JoinRepository(Repository):
    """Reads and writes joins."""

    def of_viewer(self, account: AccountId, stream: UUID) -> dict[int, Join]:
        """Return the joins of a viewer on a stream, by number."""
        with self._reading() as connection:
            return _joins(connection, [(stream, account)]).get((stream, account), {})

    def open_of(self, account: AccountId, now_s: int) -> list[Join]:
        """Return the joins of a viewer that are open at a second of the chain's clock."""
        joins = tables.joins.c
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.joins).where(
                    joins.account == account,
                    joins.expires_s > now_s,
                    joins.ended_s.is_(None),
                )
            ).all()
        return [_join_of(row) for row in rows]

    def of_shard(self, shard: int, since_s: int) -> list[Join]:
        """Return the joins of a shard that had not ended by a second of the chain's clock."""
        joins = tables.joins.c
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.joins).where(
                    joins.shard == shard,
                    joins.expires_s > since_s,
                    or_(joins.ended_s.is_(None), joins.ended_s > since_s),
                )
            ).all()
        return [_join_of(row) for row in rows]

    def limits(self) -> JoinLimits | None:
        """Return the bounds of every join that were last read from the runtime; None before."""
        with self._reading() as connection:
            text = meta(connection, _LIMITS)
        return None if text is None else JoinLimits(**json.loads(text))

    def put_limits(self, limits: JoinLimits) -> None:
        """Keep the bounds of the runtime, for a start at which the node is away."""
        with self._writing() as connection:
            put_meta(connection, _LIMITS, json.dumps(asdict(limits)))

    def unended(self) -> list[Join]:
        """Return every join that was not ended, expired or not, oldest first."""
        joins = tables.joins.c
        with self._reading() as connection:
            rows = connection.execute(
                select(tables.joins).where(joins.ended_s.is_(None)).order_by(joins.joined_s)
            ).all()
        return [_join_of(row) for row in rows]

    def ended(self) -> list[Join]:
        """Return every join that is over: the chain may have removed it."""
        joins = tables.joins.c
        with self._reading() as connection:
            now_s = connection.execute(select(tables.chain_cursor.c.at_s)).scalar_one_or_none() or 0
            rows = connection.execute(
                select(tables.joins).where(
                    or_(joins.ended_s.is_not(None), joins.expires_s <= now_s)
                )
            ).all()
        return [_join_of(row) for row in rows]


def take_joins(connection: Connection, events: Sequence[JoinEvent]) -> set[JoinKey]:
    """Write what happened to joins of streams that the book knows; return whose."""
    if not events:
        return set()

    # Other operators' streams are not in the book: their events are skipped.
    streams = schema.streams.c
    ours = set(
        connection.execute(
            select(streams.id).where(streams.id.in_({event.stream for event in events}))
        ).scalars()
    )

    # Whose joins an event changes: one viewer's, or all open ones when the stream has ended.
    touched: set[JoinKey] = set()
    for event in events:
        if event.stream not in ours:
            continue
        if event.account is not None:
            touched.add((event.stream, event.account))
            continue
        joins = tables.joins.c
        touched |= {
            (event.stream, account)
            for account in connection.execute(
                select(joins.account).where(joins.stream == event.stream, joins.ended_s.is_(None))
            ).scalars()
        }

    # Each viewer's joins after the events; only what has changed is written.
    known = _joins(connection, touched)
    rows = []
    for key in sorted(touched, key=lambda pair: (pair[0].int, pair[1])):
        before = known.get(key, {})
        after = joins_after(before, (event for event in events if concerns(event, key)))
        rows += [_row_of(join) for join in after.values() if before.get(join.number) != join]
    upsert(
        connection,
        tables.joins,
        rows,
        ("max_spend", "max_price", "joined_s", "expires_s", "ended_s"),
    )
    return touched


def _joins(connection: Connection, keys: Iterable[JoinKey]) -> dict[JoinKey, dict[int, Join]]:
    by_key: dict[JoinKey, dict[int, Join]] = defaultdict(dict)
    joins = tables.joins.c
    for stream, account in keys:
        for row in connection.execute(
            select(tables.joins).where(joins.account == account, joins.stream == stream)
        ):
            by_key[stream, account][row.number] = _join_of(row)
    return by_key


def _row_of(join: Join) -> dict[str, Any]:
    return {
        "account": join.account,
        "stream": join.stream,
        "number": join.number,
        "shard": shard_of(join.account),
        "max_spend": Planck(join.max_spend),
        "max_price": Planck(join.max_price),
        "joined_s": join.joined_s,
        "expires_s": join.expires_s,
        "ended_s": join.ended_s,
    }


def _join_of(row: Row[Any]) -> Join:
    return Join(
        row.stream,
        row.account,
        row.number,
        row.max_spend,
        row.max_price,
        row.joined_s,
        row.expires_s,
        row.ended_s,
    )
