"""Orders, notices and the book's deposits, compared: what one has and another has not, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from mediaserver.payments import payouts
from mediaserver.payments.inbox import KEY_PREFIX, deposit_key
from mediaserver.payments.orders import order_of
from mediaserver.payments.records import NOT_BOOKED, Order, OrderState, Outcome, PaymentStatus
from mediaserver.payments.reversals import taken_back
from mediaserver.payments.schema import notices, orders, refunds
from mediaserver.payments.taken_back import (
    all_known,
    lost_disputes,
    lost_for_good,
    planck_back,
    twice,
)
from mediaserver.payments.withdrawals import unlike_parts
from metering.book.book import Book
from metering.units import AccountId, Planck, account_text

_NOT_BOOKED: Final = frozenset(outcome.value for outcome in NOT_BOOKED)
_BACK: Final = frozenset(
    status.value
    for status in PaymentStatus
    if status not in (PaymentStatus.PAID, PaymentStatus.FAILED, PaymentStatus.OTHER)
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What providers brought.

    Attributes:
        paid: Orders that are paid.
        planck: What they bought.
        back: How much of it went back.
        differences: Empty when orders, notices and deposits agree.
        losses: What went back above a payment for good: disputes of what was given back already,
            lost. In words; nobody has to do anything.
    """

    paid: int
    planck: Planck
    back: Planck
    differences: tuple[str, ...]
    losses: tuple[str, ...] = ()


def compare(book: Book, connection: Connection) -> Comparison:
    """Return how orders, notices and deposits agree, all in one view."""
    deposits = book.deposits.with_keys(KEY_PREFIX)
    query = select(orders).where(orders.c.state == OrderState.PAID.value)
    bought = [order_of(row) for row in connection.execute(query)]
    paid = {
        deposit_key(order.provider, order.payment or ""): (order.id, order.account, order.planck)
        for order in bought
    }
    back = book.returns.of_deposits(KEY_PREFIX)
    losses: list[str] = []
    found = [
        *_against_orders(deposits, paid),
        *_went_back(connection, bought, back, losses),
        *_not_booked(connection),
        *(f"withdrawal {item} is not the sum of its parts" for item in unlike_parts(connection)),
        *payouts.differences(book, connection),
    ]
    planck = Planck(sum(order.planck for order in bought))
    went_back = Planck(sum(back.values()))
    return Comparison(len(paid), planck, went_back, tuple(found), tuple(losses))


def _against_orders(
    deposits: dict[str, tuple[AccountId, Planck]], paid: dict[str, tuple[str, AccountId, Planck]]
) -> Iterator[str]:
    """Yield where paid orders and deposits of providers' payments differ."""
    for key, (order, account, planck) in paid.items():
        there = deposits.get(key)
        if there is None:
            yield f"order {order} is paid, and the book has no deposit {key}"
        elif there != (account, planck):
            yield (
                f"order {order} is {planck} planck for {account_text(account)}, and the book's "
                f"deposit {key} is {there[1]} for {account_text(there[0])}"
            )
    for key in deposits.keys() - paid.keys():
        yield f"the book has a deposit {key}, and no order is paid by it"


def _went_back(
    connection: Connection, bought: list[Order], back: dict[str, Planck], losses: list[str]
) -> Iterator[str]:
    """Yield where what providers told of refunds and disputes and the book differ.

    Args:
        losses: Told of what is over and stays lost.
    """
    known, lost = all_known(connection), lost_disputes(connection)
    wholly = set()
    for order in bought:
        assert order.payment is not None
        at = (order.provider, order.payment)
        expected, there = planck_back(order, known.get(at, [])), back.get(deposit_key(*at), 0)
        if expected == order.planck:
            wholly.add(at)
        if expected != there:
            yield (
                f"of order {order.id}, payment {order.payment}, {expected} planck went back, and "
                f"the book has {there}"
            )
        if loss := lost_for_good(order, known.get(at, []), lost.get(at, frozenset())):
            losses.append(f"order {order.id}: {loss}")
        elif words := twice(order, known.get(at, [])):
            yield f"order {order.id}: {words}"
    # What was told of them and could not be taken, until it is set right.
    c = notices.c
    by_hand = set(connection.execute(select(refunds.c.reference)).scalars())
    query = select(notices).where(c.status.in_(_BACK)).order_by(c.number)
    open_ones = {}
    for row in connection.execute(query):
        name = (row.provider, row.payment, row.reversal)
        if row.outcome in _NOT_BOOKED:
            open_ones[name] = row
        elif row.outcome in (Outcome.BOOKED.value, Outcome.REPEATED.value):
            open_ones.pop(name, None)
    for (provider, payment, reversal), row in open_ones.items():
        if (provider, payment) not in wholly and (reversal or payment) not in by_hand:
            yield (
                f"{provider} told that {row.amount} {row.currency} of payment {payment} is "
                f"{row.status}, and the book has not: {row.outcome}, notice {row.number}"
            )


def _not_booked(connection: Connection) -> Iterator[str]:
    """Yield payments that a provider was paid, that are not booked and not given back."""
    named = {
        (row.provider, row.payment): row
        for row in connection.execute(
            select(notices)
            .where(notices.c.outcome.in_(_NOT_BOOKED), notices.c.status.not_in(_BACK))
            .order_by(notices.c.number)
        )
    }
    if not named:
        return
    known = all_known(connection)
    booked = select(orders.c.provider, orders.c.payment).where(orders.c.payment.is_not(None))
    named = {
        at: row
        for at, row in named.items()
        if row.amount is None
        or taken_back(known.get(at, []), int(row.amount), row.currency) < int(row.amount)
    }
    done = {(row.provider, row.payment): row for row in connection.execute(booked)}
    for at, row in named.items():
        if at not in done:
            yield (
                f"{row.provider} was paid {row.amount} {row.currency} by payment {row.payment}, "
                f"and the book has not: {row.outcome}, notice {row.number}"
            )
