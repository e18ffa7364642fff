"""What viewers allow to be paid by itself, as rows: one for each person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mediaserver.payments.auto_records import DECLINED_MAX, AutoState, AutoTopUp
from mediaserver.payments.schema import auto_top_ups as _rules
from metering.book import schema as book_schema
from metering.units import AccountId, Planck


def find(connection: Connection, person: str) -> AutoTopUp | None:
    """Return what a person allows, None where they never did."""
    row = connection.execute(select(_rules).where(_rules.c.person == person)).one_or_none()
    return None if row is None else _rule(row)


def put(connection: Connection, rule: AutoTopUp) -> None:
    """Write down what a person allows, in place of what they did before."""
    connection.execute(delete(_rules).where(_rules.c.person == rule.person))
    connection.execute(insert(_rules).values(**_values(rule)))


def turn_off(connection: Connection, person: str, why: str, now_ms: int) -> bool:
    """Ask for nothing any more, and forget by what it was paid; False where it was off.

    Args:
        why: Why we do so; empty: they did, and know of it.
    """
    c = _rules.c
    changed = connection.execute(
        update(_rules)
        .where(c.person == person, c.state != AutoState.OFF.value)
        .values(
            state=AutoState.OFF.value,
            means="",
            setup_order=None,
            why=why,
            is_told=not why,
            changed_ms=now_ms,
        )
    )
    return changed.rowcount == 1


def was_told(connection: Connection, person: str) -> None:
    """Note that a person was told that it is off."""
    connection.execute(update(_rules).where(_rules.c.person == person).values(is_told=True))


def not_told(connection: Connection) -> list[AutoTopUp]:
    """Return those that we turned off and whose owners were not told."""
    return [_rule(row) for row in connection.execute(select(_rules).where(~_rules.c.is_told))]


def set_low(connection: Connection, person: str, *, is_low: bool) -> None:
    """Note whether this crossing was asked for."""
    connection.execute(update(_rules).where(_rules.c.person == person).values(is_low=is_low))


def crossed(connection: Connection, rule: AutoTopUp) -> int:
    """Note that a crossing is asked for; return its number."""
    number = rule.crossing + 1
    connection.execute(
        update(_rules).where(_rules.c.person == rule.person).values(crossing=number, is_low=True)
    )
    return number


def was_paid(connection: Connection, person: str) -> None:
    """Note that a payment came: a balance that is low all the same is another crossing."""
    connection.execute(
        update(_rules).where(_rules.c.person == person).values(is_low=False, declined=0)
    )


def was_declined(connection: Connection, person: str, words: str, now_ms: int) -> None:
    """Note that a payment was declined; after `DECLINED_MAX` one after the other it ends."""
    known = find(connection, person)
    if known is None:
        return
    count = known.declined + 1
    connection.execute(update(_rules).where(_rules.c.person == person).values(declined=count))
    if count >= DECLINED_MAX:
        why = f"{count} payments one after the other were declined, at last with: {words}"
        turn_off(connection, person, why, now_ms)


def save_means(connection: Connection, order: str, means: str, now_ms: int) -> None:
    """Begin what waited for the payment of an order; without such a one nothing happens."""
    c = _rules.c
    connection.execute(
        update(_rules)
        .where(c.setup_order == order, c.state == AutoState.SETTING_UP.value)
        .values(state=AutoState.ON.value, means=means, is_low=False, changed_ms=now_ms)
    )


def playing(connection: Connection, now_ms: int) -> Sequence[AutoTopUp]:
    """Return what is on of those who have a player now."""
    sessions = book_schema.sessions.c
    has_player = select(sessions.session).where(
        sessions.account == _rules.c.account,
        sessions.ends_ms > now_ms,
        sessions.ended_ms.is_(None),
        sessions.expires_ms > now_ms,
    )
    query = select(_rules).where(_rules.c.state == AutoState.ON.value, has_player.exists())
    return [_rule(row) for row in connection.execute(query.order_by(_rules.c.person))]


def _values(rule: AutoTopUp) -> dict[str, Any]:
    names: Sequence[str] = AutoTopUp.__slots__
    return {name: getattr(rule, name) for name in names} | {"state": rule.state.value}


def _rule(row: Row[Any]) -> AutoTopUp:
    values = {name: getattr(row, name) for name in AutoTopUp.__slots__}
    return AutoTopUp(
        **values
        | {
            "account": AccountId(bytes(row.account)),
            "threshold": Planck(row.threshold),
            "amount": int(row.amount),
            "day_max": int(row.day_max),
            "month_max": int(row.month_max),
            "state": AutoState(row.state),
        }
    )
