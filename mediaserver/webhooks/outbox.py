"""The outbox: each event is written with its fact, and kept until it was told or given up.

All of it runs in the book's thread, in transactions of the caller.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, tuple_, update

from mediaserver.webhooks.records import Delivery, DeliveryState, Event, EventKind, again_ms
from mediaserver.webhooks.schema import deliveries, events

PAGE_MAX: Final = 200
REPLAY_MAX: Final = 1000
"""Dead letters of one replay: one transaction of the book's thread."""
FORGET_MAX: Final = 500
"""Events of one clearing, for the same reason."""
DETAIL_CHARACTERS_MAX: Final = 300


def append(connection: Connection, event: Event, targets: Collection[str]) -> str:
    """Write an event down for targets; return its id. Without targets nothing is written."""
    if not targets:
        return ""
    name = f"msg_{secrets.token_hex(16)}"
    number = connection.execute(
        insert(events)
        .values(
            id=name,
            kind=event.kind.value,
            stream=event.stream,
            created_ms=event.at_ms,
            body=event.body(),
        )
        .returning(events.c.number)
    ).scalar_one()
    connection.execute(
        insert(deliveries),
        [
            {
                "target": target,
                "event": number,
                "stream": event.stream,
                "state": DeliveryState.WAITING.value,
                "tries": 0,
                "since_ms": event.at_ms,
                "next_ms": 0,
                "detail": "",
            }
            for target in sorted(targets)
        ],
    )
    return name


def heads(connection: Connection, target: str, limit: int) -> list[Delivery]:
    """Return the oldest waiting delivery of each stream to a target, the next to be tried first."""
    table = deliveries.c
    oldest = (
        select(func.min(table.event))
        .where(table.target == target, table.state == DeliveryState.WAITING.value)
        .group_by(table.stream)
    )
    query = _query().where(table.target == target, table.event.in_(oldest))
    rows = connection.execute(query.order_by(table.next_ms, table.event).limit(limit))
    return [_delivery(row) for row in rows]


def sent(connection: Connection, delivery: Delivery, detail: str) -> None:
    """Note that a target took an event."""
    _note(connection, delivery, DeliveryState.SENT, delivery.next_ms, detail)


def failed(
    connection: Connection, delivery: Delivery, detail: str, now_ms: int, give_up_ms: int
) -> DeliveryState:
    """Note that a target did not take an event: it is tried again, or given up.

    Args:
        give_up_ms: How long an event is tried.
    """
    is_over = now_ms - delivery.since_ms >= give_up_ms
    state = DeliveryState.DEAD if is_over else DeliveryState.WAITING
    _note(connection, delivery, state, now_ms + again_ms(delivery.tries + 1), detail)
    return state


def replay(connection: Connection, target: str, ids: Collection[str], now_ms: int) -> int:
    """Have events told to a target again, under their own ids; return how many.

    Args:
        ids: Of events, sent or given up; empty: the oldest `REPLAY_MAX` that were given up.
    """
    table = deliveries.c
    query = select(table.event).where(table.target == target)
    if ids:
        named = select(events.c.number).where(events.c.id.in_(ids))
        query = query.where(table.event.in_(named), table.state != DeliveryState.WAITING.value)
    else:
        query = query.where(table.state == DeliveryState.DEAD.value)
    numbers = connection.execute(query.order_by(table.event).limit(REPLAY_MAX)).scalars().all()
    for number in numbers:
        connection.execute(
            update(deliveries)
            .where(table.target == target, table.event == number)
            .values(
                state=DeliveryState.WAITING.value, tries=0, since_ms=now_ms, next_ms=0, detail=""
            )
        )
    return len(numbers)


def forget(connection: Connection, before_ms: int) -> int:
    """Forget the oldest events of before a time that nobody waits for; return how many."""
    table = deliveries.c
    waiting = select(table.event).where(table.state == DeliveryState.WAITING.value)
    old = (
        select(events.c.number)
        .where(events.c.created_ms < before_ms, events.c.number.not_in(waiting))
        .order_by(events.c.created_ms)
        .limit(FORGET_MAX)
    )
    numbers = connection.execute(old).scalars().all()
    for number in numbers:
        connection.execute(delete(deliveries).where(table.event == number))
        connection.execute(delete(events).where(events.c.number == number))
    return len(numbers)


def leave_out(connection: Connection, targets: Collection[str]) -> None:
    """Forget what waits for targets that the configuration does not name any more."""
    connection.execute(delete(deliveries).where(deliveries.c.target.not_in(targets)))


def counts(connection: Connection) -> dict[tuple[str, str], tuple[int, int]]:
    """Return by target and state how many deliveries there are, and since when the oldest is."""
    table = deliveries.c
    query = (
        select(table.target, table.state, func.count(), func.min(events.c.created_ms))
        .join(events, events.c.number == table.event)
        .group_by(table.target, table.state)
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in connection.execute(query)}


def page(
    connection: Connection,
    *,
    limit: int,
    before: tuple[int, str] | None = None,
    target: str | None = None,
    state: DeliveryState | None = None,
) -> list[Delivery]:
    """Return deliveries, the newest event first.

    Args:
        before: Event and target behind which the page begins.
    """
    table = deliveries.c
    query = _query().order_by(table.event.desc(), table.target.desc()).limit(limit)
    if before is not None:
        query = query.where(tuple_(table.event, table.target) < before)
    if target is not None:
        query = query.where(table.target == target)
    if state is not None:
        query = query.where(table.state == state.value)
    return [_delivery(row) for row in connection.execute(query)]


def _note(
    connection: Connection, delivery: Delivery, state: DeliveryState, next_ms: int, detail: str
) -> None:
    """Write down how a try ended, unless a replay was asked for meanwhile."""
    table = deliveries.c
    connection.execute(
        update(deliveries)
        .where(
            table.target == delivery.target,
            table.event == delivery.event,
            table.state == DeliveryState.WAITING.value,
        )
        .values(
            state=state.value,
            tries=delivery.tries + 1,
            next_ms=next_ms,
            detail=detail[:DETAIL_CHARACTERS_MAX],
        )
    )


def _query() -> Select[Any]:
    return select(deliveries, events.c.id, events.c.kind, events.c.created_ms, events.c.body).join(
        events, events.c.number == deliveries.c.event
    )


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(
        row.target,
        row.event,
        row.id,
        EventKind(row.kind),
        row.stream,
        DeliveryState(row.state),
        row.tries,
        row.created_ms,
        row.since_ms,
        row.next_ms,
        row.detail,
        row.body,
    )
