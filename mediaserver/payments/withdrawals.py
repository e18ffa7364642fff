"""What people take out of their balance: each part goes back to the payment that brought it.

Only what a provider was paid goes out; what was given, and the demo's button's, never. What was
watched is taken from gifts first, so all that payments brought may leave while the balance holds
it. The newest payment first: banks take back young ones most easily.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from mediaserver.payments import demo_button, orders, refunding, refunds, taken_back
from mediaserver.payments.paging import newest
from mediaserver.payments.records import Order, Refund, Withdrawal
from mediaserver.payments.schema import withdrawals as _withdrawals
from metering.book.book import Book
from metering.errors import IdempotencyConflictError, InvalidValueError
from metering.units import AccountId, Planck

PAGE_MAX: Final = 100
WHY: Final = "withdrawal"


def sources(
    connection: Connection, account: AccountId, currency: str, providers: Sequence[str]
) -> list[tuple[Order, int]]:
    """Return the payments that money may go back to, and how much of each, the newest first.

    Args:
        currency: Of payments now; what came in another one is given back by finance.
        providers: Those that are configured.
    """
    paid = [
        order
        for order in orders.paid_of(connection, account)
        if order.provider != demo_button.NAME
        and order.provider in providers
        and order.currency == currency
    ]
    known = taken_back.of_payments(connection, [order.payment or "" for order in paid])
    left = [
        (
            order,
            order.amount
            - taken_back.amount_back(order, known.get((order.provider, order.payment), [])),
        )
        for order in paid
    ]
    return [(order, amount) for order, amount in left if amount]


def split(of: Sequence[tuple[Order, int]], amount: int) -> list[tuple[Order, int]]:
    """Return how an amount in minor units is taken from payments.

    Raises:
        InvalidValueError: They have not so much.
    """
    most = sum(left for _, left in of)
    if not 0 < amount <= most:
        raise InvalidValueError(
            f"amount: {amount} is not in 1 to {most}: so much of what you paid may go back to the "
            "payments it came from; what was given to you does not go out"
        )
    parts = []
    for order, left in of:
        part = min(left, amount)
        amount -= part
        if part:
            parts.append((order, part))
    return parts


def planck_of(parts: Sequence[tuple[Order, int]]) -> Planck:
    """Return what leaves the balance for parts of payments."""
    return Planck(sum(taken_back.planck_of(order, amount) for order, amount in parts))


def make(
    book: Book,
    connection: Connection,
    wanted: Withdrawal,
    parts: Sequence[tuple[Order, int]],
) -> list[Refund]:
    """Book a withdrawal; return its parts, which their providers are to be asked for.

    Args:
        connection: Of `book.together`.
        parts: As `split` made them; together `wanted`.

    Raises:
        InvalidValueError: Less is left of a payment than a part by now.
    """
    connection.execute(
        insert(_withdrawals).values(
            id=wanted.id,
            account=wanted.account,
            person=wanted.person,
            amount=wanted.amount,
            currency=wanted.currency,
            planck=wanted.planck,
            idempotency_key=wanted.idempotency_key,
            created_ms=wanted.created_ms,
        )
    )
    made = []
    for number, (order, amount) in enumerate(parts):
        draft = refunding.draft(
            order,
            amount,
            WHY,
            f"person:{wanted.person}",
            f"withdrawal:{wanted.id}:{number}",
            wanted.created_ms,
            withdrawal=wanted.id,
        )
        made.append(refunding.make(book, connection, draft)[0])
    return made


def known_by(
    connection: Connection, person: str, idempotency_key: str, amount: int
) -> Withdrawal | None:
    """Return the withdrawal that somebody made by a key, None when there is none.

    Raises:
        IdempotencyConflictError: The key was used for another amount.
    """
    c = _withdrawals.c
    query = select(_withdrawals).where(c.person == person, c.idempotency_key == idempotency_key)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    known = _withdrawal(row)
    if known.amount != amount:
        raise IdempotencyConflictError(
            f"idempotency key {idempotency_key!r} was used for a withdrawal of {known.amount}; use "
            "a new key for a new one"
        )
    return known


def of_person(
    connection: Connection, person: str, *, limit: int, before: str | None = None
) -> list[tuple[Withdrawal, list[Refund]]]:
    """Return somebody's withdrawals with their parts, the newest first.

    Args:
        before: Id of the one behind which the page begins; one not known is behind all.
    """
    rows = newest(connection, _withdrawals, limit=limit, before=before, person=person)
    found = [_withdrawal(row) for row in rows]
    parts = refunds.of_withdrawals(connection, [item.id for item in found])
    return [(item, parts[item.id]) for item in found]


def unlike_parts(connection: Connection) -> list[str]:
    """Return the ids of withdrawals whose parts are not the whole."""
    found = [_withdrawal(row) for row in connection.execute(select(_withdrawals))]
    parts = refunds.by_withdrawal(connection)
    return [item.id for item in found if parts.get(item.id, 0) != item.planck]


def _withdrawal(row: Row[Any]) -> Withdrawal:
    return Withdrawal(
        row.id,
        AccountId(bytes(row.account)),
        row.person,
        int(row.amount),
        row.currency,
        Planck(row.planck),
        row.idempotency_key,
        row.created_ms,
    )
