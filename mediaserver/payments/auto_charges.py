"""Payments that are asked for by themselves, as rows: one for each crossing, within the mosts.

Each is an order with the same id: what is booked, for whom and how much comes from there, as of a
payment that somebody makes by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from mediaserver.payments import auto_rules, demo_button, orders
from mediaserver.payments.auto_records import (
    UNDER_WAY,
    AutoState,
    AutoTopUp,
    Charge,
    ChargeState,
    Spent,
    held_by,
    periods,
)
from mediaserver.payments.records import Notice, Order, PaymentStatus
from mediaserver.payments.schema import auto_charges as _charges
from metering.book.book import Book
from metering.model.ledger import balance_and_debt
from metering.units import AccountId

SHOWN_MAX: Final = 20
DETAIL_MAX: Final = 300
ANSWERS_AT_ONCE: Final = frozenset({"stripe"})
"""Who says how a payment ended when they are asked: their notice that it failed is a reason to ask,
as what may still be paid has to be canceled there."""
DISPUTED: Final = "a payment was disputed at your bank"

_UNDER_WAY: Final = tuple(state.value for state in UNDER_WAY)


def begin(
    book: Book,
    connection: Connection,
    person: str,
    draft: Callable[[AutoTopUp], Order],
    now_ms: int,
) -> Charge | None:
    """Write down the payment that a balance below its threshold is worth; None: there is none.

    Args:
        connection: Of `book.together`: what allows it and what it is are one transaction.
        draft: Returns its order; called once, if at all.
    """
    rule = auto_rules.find(connection, person)
    if rule is None or rule.state is not AutoState.ON:
        return None
    stayed = book.viewers.get(rule.account).stayed
    balance, _ = balance_and_debt(stayed, book.cuts.spent(rule.account))
    if balance >= rule.threshold:
        if rule.is_low:
            auto_rules.set_low(connection, person, is_low=False)
        return None
    if rule.is_low or has_under_way(connection, person):
        return None
    if held_by(rule, spent(connection, rule, now_ms)):
        return None
    order = draft(rule)
    orders.add(connection, order)
    charge = Charge(
        id=order.id,
        person=person,
        account=rule.account,
        crossing=auto_rules.crossed(connection, rule),
        provider=rule.provider,
        amount=order.amount,
        currency=order.currency,
        means=rule.means,
        state=ChargeState.ASKED,
        reference=None,
        detail="",
        created_ms=now_ms,
        next_ms=0,
        done_ms=None,
    )
    connection.execute(insert(_charges).values(**_values(charge)))
    return charge


def spent(connection: Connection, rule: AutoTopUp, now_ms: int) -> Spent:
    """Return what was asked for this day and month; what was declined is not counted."""
    day_ms, month_ms = periods(now_ms)
    c = _charges.c
    # An asset may be called as the currency is, and its planck are no cents.
    is_demo = rule.provider == demo_button.NAME
    same_unit = c.provider == demo_button.NAME if is_demo else c.provider != demo_button.NAME
    rows = connection.execute(
        select(c.amount, c.created_ms).where(
            c.person == rule.person,
            c.currency == rule.currency,
            same_unit,
            c.created_ms >= month_ms,
            c.state != ChargeState.DECLINED.value,
        )
    ).all()
    day = sum(int(row.amount) for row in rows if row.created_ms >= day_ms)
    return Spent(day, sum(int(row.amount) for row in rows))


def has_under_way(connection: Connection, person: str) -> bool:
    """Return whether a payment of somebody's is asked for, and nobody said how it ended."""
    c = _charges.c
    query = select(c.number).where(c.person == person, c.state.in_(_UNDER_WAY)).limit(1)
    return connection.execute(query).first() is not None


def due(connection: Connection, now_ms: int, limit: int) -> list[Charge]:
    """Return those whose provider is to be asked now, the oldest first."""
    c = _charges.c
    query = select(_charges).where(c.state == ChargeState.ASKED.value, c.next_ms <= now_ms)
    return [_charge(row) for row in connection.execute(query.order_by(c.number).limit(limit))]


def find(connection: Connection, charge: str) -> Charge | None:
    """Return a payment by its id, None where it is none of these."""
    row = connection.execute(select(_charges).where(_charges.c.id == charge)).one_or_none()
    return None if row is None else _charge(row)


def of_person(connection: Connection, person: str) -> list[Charge]:
    """Return what was asked for in somebody's name, the newest first."""
    c = _charges.c
    query = select(_charges).where(c.person == person).order_by(c.number.desc()).limit(SHOWN_MAX)
    return [_charge(row) for row in connection.execute(query)]


def sent(connection: Connection, charge: str, reference: str | None) -> None:
    """Note that the provider has it; what a notice said meanwhile holds."""
    _change(connection, charge, (ChargeState.ASKED,), state=ChargeState.SENT, reference=reference)


def again(connection: Connection, charge: str, next_ms: int) -> None:
    """Note when the provider is asked again."""
    _change(connection, charge, (ChargeState.ASKED,), next_ms=next_ms)


def lost(connection: Connection, charge: str, now_ms: int) -> None:
    """Note that nobody says how it ends; a notice that comes all the same still counts."""
    _change(connection, charge, UNDER_WAY, state=ChargeState.LOST, done_ms=now_ms, means="")


def lose_old(connection: Connection, before_ms: int, now_ms: int) -> None:
    """Give up those that a provider has had since before a time, without a word."""
    c = _charges.c
    connection.execute(
        update(_charges)
        .where(c.state == ChargeState.SENT.value, c.created_ms < before_ms)
        .values(state=ChargeState.LOST.value, done_ms=now_ms, means="")
    )


def paid(connection: Connection, charge: Charge, now_ms: int) -> None:
    """Note that it is in the book, whatever was said of it before."""
    others = tuple(state for state in ChargeState if state is not ChargeState.PAID)
    if _change(
        connection,
        charge.id,
        others,
        state=ChargeState.PAID,
        done_ms=now_ms,
        means="",
        detail="",
    ):
        auto_rules.was_paid(connection, charge.person)


def declined(connection: Connection, charge: Charge, words: str, now_ms: int) -> None:
    """Note that it never comes, once."""
    words = words[:DETAIL_MAX]
    if _change(
        connection,
        charge.id,
        UNDER_WAY,
        state=ChargeState.DECLINED,
        done_ms=now_ms,
        means="",
        detail=words,
    ):
        auto_rules.was_declined(connection, charge.person, words, now_ms)


def heard(
    connection: Connection, order: Order, notice: Notice, now_ms: int, *, is_booked: bool
) -> None:
    """Take what a notice says of an order: its own provider's, and of money that counts here.

    Args:
        is_booked: The notice says that it is paid, and the book has it.
    """
    if is_booked and notice.means:
        auto_rules.save_means(connection, order.id, notice.means, now_ms)
    charge = find(connection, order.id)
    if charge is None:
        return
    if is_booked:
        paid(connection, charge, now_ms)
    elif notice.status is PaymentStatus.FAILED and charge.provider in ANSWERS_AT_ONCE:
        _change(connection, charge.id, UNDER_WAY, state=ChargeState.ASKED, next_ms=0)
    elif notice.status is PaymentStatus.FAILED:
        declined(connection, charge, "your payment was refused", now_ms)
    elif notice.status in (PaymentStatus.DISPUTED, PaymentStatus.LOST):
        auto_rules.turn_off(connection, charge.person, DISPUTED, now_ms)


def _change(
    connection: Connection, charge: str, states: Sequence[ChargeState], **values: Any
) -> bool:
    c = _charges.c
    changed = connection.execute(
        update(_charges)
        .where(c.id == charge, c.state.in_([state.value for state in states]))
        .values(**values)
    )
    return changed.rowcount == 1


def _values(charge: Charge) -> dict[str, Any]:
    names: Sequence[str] = Charge.__slots__
    return {name: getattr(charge, name) for name in names} | {"state": charge.state.value}


def _charge(row: Row[Any]) -> Charge:
    values = {name: getattr(row, name) for name in Charge.__slots__}
    return Charge(
        **values
        | {
            "account": AccountId(bytes(row.account)),
            "amount": int(row.amount),
            "state": ChargeState(row.state),
        }
    )
