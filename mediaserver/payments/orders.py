"""Orders as rows: made once for each key, paid once."""

from __future__ import annotations

import secrets
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from mediaserver.payments.paging import newest
from mediaserver.payments.records import Order, OrderState
from mediaserver.payments.schema import orders
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.units import AccountId, Planck

PAGE_MAX: Final = 200
OPEN_PER_HOUR_MAX: Final = 30
"""Orders of one account that nobody paid, made within an hour: a person gives up sooner."""
HOUR_MS: Final = 3_600_000
IDEMPOTENCY_KEY_MAX: Final = 200


def make(connection: Connection, wanted: Order) -> Order:
    """Return a new order, or the one that was made with the same idempotency key.

    Raises:
        IdempotencyConflictError: The key was used for another order.
        InvalidValueError: Too many orders of the account are open.
    """
    known = None
    if wanted.idempotency_key is not None:
        known = connection.execute(
            select(orders).where(
                orders.c.person == wanted.person,
                orders.c.idempotency_key == wanted.idempotency_key,
            )
        ).one_or_none()
    if known is not None:
        order = order_of(known)
        if (order.provider, order.amount) != (wanted.provider, wanted.amount):
            raise IdempotencyConflictError(
                f"idempotency key {wanted.idempotency_key!r} was used for another top-up; use a "
                "new key for a new one"
            )
        return order
    open_ones = connection.execute(
        select(func.count()).where(
            orders.c.account == wanted.account,
            orders.c.state == OrderState.OPEN,
            orders.c.created_ms > wanted.created_ms - HOUR_MS,
        )
    ).scalar_one()
    if open_ones >= OPEN_PER_HOUR_MAX:
        raise InvalidValueError(
            f"{open_ones} top-ups were begun within an hour and not paid: pay one of them, or come "
            "back later"
        )
    add(connection, wanted)
    return wanted


def add(connection: Connection, wanted: Order) -> None:
    """Write an order down that is none of those before."""
    connection.execute(
        insert(orders).values(
            id=wanted.id,
            account=wanted.account,
            person=wanted.person,
            provider=wanted.provider,
            amount=wanted.amount,
            currency=wanted.currency,
            planck=wanted.planck,
            state=wanted.state.value,
            payment=None,
            pay_url=wanted.pay_url,
            idempotency_key=wanted.idempotency_key,
            created_ms=wanted.created_ms,
            paid_ms=None,
        )
    )


def new_id() -> str:
    """Return the id of an order: nobody guesses another's, though it opens nothing."""
    return secrets.token_hex(16)


def find(connection: Connection, order: str) -> Order | None:
    """Return an order by its id, None when there is none."""
    row = connection.execute(select(orders).where(orders.c.id == order)).one_or_none()
    return None if row is None else order_of(row)


def get(connection: Connection, order: str) -> Order:
    """Return an order by its id.

    Raises:
        UnknownNameError: There is none.
    """
    found = find(connection, order)
    if found is None:
        raise UnknownNameError(f"there is no order {order[:64]!r}")
    return found


def paid_by(connection: Connection, provider: str, payment: str) -> Order | None:
    """Return the order that a payment was booked for, None when it was not."""
    row = connection.execute(
        select(orders).where(orders.c.provider == provider, orders.c.payment == payment)
    ).one_or_none()
    return None if row is None else order_of(row)


def pay(connection: Connection, order: str, payment: str, now_ms: int) -> None:
    """Note that an order is paid, and by which payment."""
    connection.execute(
        update(orders)
        .where(orders.c.id == order)
        .values(state=OrderState.PAID.value, payment=payment, paid_ms=now_ms)
    )


def paid_of(connection: Connection, account: AccountId) -> list[Order]:
    """Return what was paid into an account through providers, the newest first."""
    c = orders.c
    query = select(orders).where(c.account == account, c.state == OrderState.PAID.value)
    return [order_of(row) for row in connection.execute(query.order_by(c.number.desc()))]


def set_pay_url(connection: Connection, order: str, pay_url: str) -> None:
    """Note where an order is paid."""
    connection.execute(update(orders).where(orders.c.id == order).values(pay_url=pay_url))


def page(
    connection: Connection,
    *,
    limit: int,
    before: str | None = None,
    state: OrderState | None = None,
    person: str | None = None,
) -> list[Order]:
    """Return orders, the newest first.

    Args:
        before: Id of the order behind which the page begins; one that is not known is behind all.
        state: Only those in this state.
        person: Only theirs.
    """
    rows = newest(connection, orders, limit=limit, before=before, state=state, person=person)
    return [order_of(row) for row in rows]


def order_of(row: Row[Any]) -> Order:
    """Return the order in a row."""
    return Order(
        row.id,
        AccountId(bytes(row.account)),
        row.person,
        row.provider,
        int(row.amount),
        row.currency,
        Planck(row.planck),
        OrderState(row.state),
        row.payment,
        row.pay_url,
        row.idempotency_key,
        row.created_ms,
        row.paid_ms,
    )
