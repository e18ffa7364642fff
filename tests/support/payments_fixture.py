"""A book with the tables of payments, orders in it, and a provider that signs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from mediaserver.payments import inbox, orders, schema
from mediaserver.payments.inbox import Taken
from mediaserver.payments.records import (
    Notice,
    Order,
    OrderState,
    PaymentStatus,
    Refund,
    RefundState,
)
from metering.units import AccountId, Planck
from tests.support.book_fixture import BookFixture, make_book

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PLANCK = 10_000
"""Of one cent: an asset that is EUR with six decimals."""


def make_payments(url: str = "sqlite://", viewers: int = 1, deposit: int = 10**12) -> BookFixture:
    """Return a new book with the tables of payments in it."""
    fixture = make_book(url, viewers=viewers, deposit=deposit)
    with fixture.book.together() as connection:
        schema.metadata.create_all(connection)  # migrations take a third of a second
    return fixture


def an_order(account: AccountId, amount: int = 1000, **changed: Any) -> Order:
    """Return an order of some cents, not yet made."""
    order = Order(
        id=orders.new_id(),
        account=account,
        person=None,
        provider="webhook",
        amount=amount,
        currency="EUR",
        planck=Planck(amount * PLANCK),
        state=OrderState.OPEN,
        payment=None,
        pay_url="",
        idempotency_key=None,
        created_ms=1,
        paid_ms=None,
    )
    return replace(order, **changed)


def a_refund(order: str = "", amount: int = 300, **changed: Any) -> Refund:
    """Return a refund that is asked for, not yet made."""
    refund = Refund(
        id=orders.new_id(),
        order=order,
        account=AccountId(b"a" * 32),
        amount=amount,
        planck=Planck(amount * PLANCK),
        why="asked",
        state=RefundState.ASKED,
        reference=None,
        detail="",
        made_by="admin",
        idempotency_key="k",
        created_ms=6,
        done_ms=None,
    )
    return replace(refund, **changed)


def make_order(fixture: BookFixture, amount: int = 1000, **changed: Any) -> Order:
    """Return an order of the first viewer, made."""
    wanted = an_order(fixture.accounts[0], amount, **changed)
    with fixture.book.together() as connection:
        return orders.make(connection, wanted)


def paid(order: Order, event: str = "e1", payment: str = "p1", **changed: Any) -> Notice:
    """Return what a provider says when an order is paid."""
    notice = Notice(
        event, "paid", PaymentStatus.PAID, order.id, payment, order.amount, order.currency
    )
    return replace(notice, **changed)


def back(
    payment: str, status: PaymentStatus, amount: int, reversal: str = "", event: str = "", **c: Any
) -> Notice:
    """Return what a provider says of a refund or dispute; it names no order."""
    name = event or f"{payment} {status} {reversal} {amount}"
    return Notice(name, "x", status, "", payment, amount, "EUR", reversal=reversal, **c)


def take(fixture: BookFixture, notice: Notice, provider: str = "webhook") -> Taken:
    """Return what becomes of a notice."""
    with fixture.book.together() as connection:
        return inbox.take(fixture.book, connection, provider, notice, b"{}", 5, is_live=True)


def signed(
    body: bytes | dict[str, Any], event: str = "msg_1", at: datetime | None = None
) -> tuple[bytes, dict[str, str]]:
    """Return a webhook of the operator's own payment system: its body and headers."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    moment = at or datetime.now(UTC)
    return raw, {
        "webhook-id": event,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(event, moment, raw.decode("latin-1")),
        "Content-Type": "application/json",
    }
