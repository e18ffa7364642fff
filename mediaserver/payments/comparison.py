"""Orders, notices and the book's deposits, compared: what one has and another has not, by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from mediaserver.payments.inbox import KEY_PREFIX, deposit_key
from mediaserver.payments.records import NOT_BOOKED, OrderState, PaymentStatus
from mediaserver.payments.schema import notices, orders
from metering.book.book import Book
from metering.units import AccountId, Planck, account_text


@dataclass(frozen=True, slots=True)
class Comparison:
    """What providers brought.

    Attributes:
        paid: Orders that are paid.
        planck: What they bought.
        differences: Empty when orders, notices and deposits agree.
    """

    paid: int
    planck: Planck
    differences: tuple[str, ...]


def compare(book: Book, connection: Connection) -> Comparison:
    """Return how orders, notices and deposits agree, all in one view."""
    deposits = book.deposits.with_keys(KEY_PREFIX)
    query = select(orders).where(orders.c.state == OrderState.PAID.value)
    paid = {
        deposit_key(row.provider, row.payment): (row.id, AccountId(bytes(row.account)), row.planck)
        for row in connection.execute(query)
    }
    found = [*_against_orders(deposits, paid), *_not_booked(connection)]
    return Comparison(len(paid), Planck(sum(item[2] for item in paid.values())), tuple(found))


def _against_orders(
    deposits: dict[str, tuple[AccountId, Planck]], paid: dict[str, tuple[str, AccountId, int]]
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


def _not_booked(connection: Connection) -> Iterator[str]:
    """Yield payments that a provider was paid, that are not booked and not given back."""
    named = {
        (row.provider, row.payment): row
        for row in connection.execute(
            select(notices)
            .where(notices.c.outcome.in_([outcome.value for outcome in NOT_BOOKED]))
            .order_by(notices.c.number)
        )
    }
    if not named:
        return
    back: dict[tuple[str, str], int] = {}
    for row in connection.execute(
        select(notices).where(notices.c.status == PaymentStatus.REFUNDED.value)
    ):
        at = (row.provider, row.payment)
        back[at] = max(back.get(at, 0), int(row.amount or 0))
    booked = select(orders.c.provider, orders.c.payment).where(orders.c.payment.is_not(None))
    named = {
        at: row
        for at, row in named.items()
        if row.amount is None or back.get(at, 0) < int(row.amount)
    }
    done = {(row.provider, row.payment): row for row in connection.execute(booked)}
    for at, row in named.items():
        if at not in done:
            yield (
                f"{row.provider} was paid {row.amount} {row.currency} by payment {row.payment}, "
                f"and the book has not: {row.outcome}, notice {row.number}"
            )
