"""The inbox: each notice of a provider is kept once, and what follows from it in one transaction.

A deposit is keyed by the provider's payment, what goes back of it by the provider's refund or
dispute, never by the notice that told of it: several notices speak of one, in any order, and each
may come again.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select

from mediaserver.payments import auto_charges, orders, refunds, taken_back
from mediaserver.payments.judging import judge, judge_reversal
from mediaserver.payments.records import KeptNotice, Notice, Order, Outcome, PaymentStatus
from mediaserver.payments.reversals import OtherAmountError, Reversal, ReversalKind, of_notice
from mediaserver.payments.schema import notices
from mediaserver.payments.taken_back import OtherPaymentError
from metering.book.book import Book
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.units import AccountId

PAGE_MAX: Final = 200
OF_ORDER_MAX: Final = 200
KEY_PREFIX: Final = "payment:"
"""Of the idempotency key of a payment's deposit; nobody else's begins so."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a notice; `account` is whose money is in the book by it, None: nobody's."""

    outcome: Outcome
    detail: str
    account: AccountId | None


def deposit_key(provider: str, payment: str) -> str:
    """Return the idempotency key of a payment's deposit."""
    return f"{KEY_PREFIX}{provider}:{payment}"


def take(  # noqa: PLR0917 -- book and row
    book: Book,
    connection: Connection,
    provider: str,
    notice: Notice,
    body: bytes,
    now_ms: int,
    *,
    is_live: bool,
) -> Taken:
    """Keep a notice and book what it pays; the same notice again changes nothing.

    Args:
        connection: Of `book.together`: all of this is one transaction.
        body: As it came.
        is_live: Whether this server takes real money from that provider, or its test money.

    Raises:
        IdempotencyConflictError: The event's id was used for another notice.
        BookError: The database does not answer; nothing was kept.
    """
    known = connection.execute(
        select(notices).where(notices.c.provider == provider, notices.c.event == notice.event)
    ).one_or_none()
    order = orders.find(connection, notice.order)
    paid_for = orders.paid_by(connection, provider, notice.payment)
    if known is not None:
        return _again(_kept(known), notice, paid_for or order)
    named = paid_for or order
    is_counted = named is not None and named.provider == provider and notice.is_live == is_live

    reversal = of_notice(notice)
    if reversal is not None:
        outcome, detail = _take_back(
            book, connection, provider, notice, reversal, paid_for, now_ms, is_live=is_live
        )
        keep(connection, provider, notice, body, now_ms, outcome, detail)
        if paid_for is not None and is_counted:
            auto_charges.heard(connection, paid_for, notice, now_ms, is_booked=False)
        return Taken(outcome, detail, _booked_of(outcome, paid_for))

    booked_for = None if paid_for is None else paid_for.id
    outcome, detail = judge(notice, order, booked_for, provider=provider, is_live=is_live)
    if outcome is Outcome.BOOKED:
        assert order is not None
        key = deposit_key(provider, notice.payment)
        try:
            book.deposits.add(order.account, order.planck, key, f"order {order.id}", now_ms)
        except (InvalidValueError, IdempotencyConflictError, UnknownNameError) as error:
            outcome, detail = Outcome.REFUSED, f"the book did not take it: {error}"
        else:
            orders.pay(connection, order.id, notice.payment, now_ms)
            now_paid = replace(order, payment=notice.payment)
            taken_back.apply_early(book, connection, now_paid, key, now_ms)
    keep(connection, provider, notice, body, now_ms, outcome, detail)
    if order is not None and is_counted:
        is_booked = outcome in (Outcome.BOOKED, Outcome.REPEATED)
        auto_charges.heard(connection, order, notice, now_ms, is_booked=is_booked)
    return Taken(outcome, detail, _booked_of(outcome, order))


def keep(  # noqa: PLR0917 -- one row
    connection: Connection,
    provider: str,
    notice: Notice,
    body: bytes,
    now_ms: int,
    outcome: Outcome,
    detail: str,
) -> None:
    """Write a notice down."""
    connection.execute(
        insert(notices).values(
            provider=provider,
            event=notice.event,
            received_ms=now_ms,
            kind=notice.kind,
            status=notice.status.value,
            order=notice.order,
            payment=notice.payment,
            amount=notice.amount,
            currency=notice.currency,
            is_live=notice.is_live,
            reversal=notice.reversal,
            outcome=outcome.value,
            detail=detail,
            body=body,
        )
    )


def keep_unreadable(
    connection: Connection, provider: str, body: bytes, now_ms: int, detail: str
) -> None:
    """Write down, once, what is signed and not in the form that is described.

    Its id is of its content, not its sender's: corrected and sent again, that is still new.
    """
    event = f"sha256:{hashlib.sha256(body).hexdigest()}"
    query = select(notices.c.number).where(notices.c.provider == provider, notices.c.event == event)
    if connection.execute(query).first() is None:
        notice = Notice(event, "", PaymentStatus.OTHER, is_live=False)
        keep(connection, provider, notice, body, now_ms, Outcome.UNREADABLE, detail)


def page(
    connection: Connection,
    *,
    limit: int,
    before: int | None = None,
    outcome: Outcome | None = None,
) -> list[KeptNotice]:
    """Return notices, the newest first.

    Args:
        before: Number of the notice behind which the page begins.
        outcome: Only those.
    """
    query = select(notices).order_by(notices.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(notices.c.number < before)
    if outcome is not None:
        query = query.where(notices.c.outcome == outcome.value)
    return [_kept(row) for row in connection.execute(query)]


def of_order(connection: Connection, order: str) -> list[KeptNotice]:
    """Return the notices that name an order, in the order in which they came."""
    query = select(notices).where(notices.c.order == order).order_by(notices.c.number)
    return [_kept(row) for row in connection.execute(query.limit(OF_ORDER_MAX))]


def body_of(connection: Connection, number: int) -> bytes:
    """Return the body of a notice as it came.

    Raises:
        UnknownNameError: There is none of this number.
    """
    query = select(notices.c.body).where(notices.c.number == number)
    body = connection.execute(query).scalar_one_or_none()
    if body is None:
        raise UnknownNameError(f"there is no notice {number}")
    return bytes(body)


def _take_back(  # noqa: PLR0917 -- book and row
    book: Book,
    connection: Connection,
    provider: str,
    notice: Notice,
    reversal: Reversal,
    order: Order | None,
    now_ms: int,
    *,
    is_live: bool,
) -> tuple[Outcome, str]:
    """Write down what a provider says of a refund or dispute, and book what follows."""
    judged, detail = judge_reversal(notice, order, is_live=is_live)
    if judged is Outcome.TEST_MODE:
        return judged, detail
    if order is not None:
        reversal = _by_our_id(connection, order, reversal)
    try:
        taken_back.record(connection, provider, notice.payment, reversal, now_ms)
    except OtherAmountError as error:
        return Outcome.WRONG_AMOUNT, str(error)
    except OtherPaymentError as error:
        return Outcome.OTHER_ORDER, str(error)
    if judged is not None:
        return judged, detail
    refunds.heard(connection, reversal.id, now_ms, is_undone=reversal.is_undone)
    assert order is not None
    key, why = deposit_key(provider, notice.payment), f"{provider}: {notice.kind}, {notice.event}"
    try:
        is_new = taken_back.apply(book, connection, order, key, reversal, why, now_ms)
    except (InvalidValueError, IdempotencyConflictError, UnknownNameError) as error:
        return Outcome.REFUSED, f"the book did not take it: {error}"
    known = taken_back.of_payment(connection, provider, notice.payment)
    return Outcome.BOOKED if is_new else Outcome.REPEATED, taken_back.twice(order, known)


def _by_our_id(connection: Connection, order: Order, reversal: Reversal) -> Reversal:
    """Return a refund by our id, where somebody said which the provider's is."""
    assert order.payment is not None
    known = taken_back.of_payment(connection, order.provider, order.payment)
    if reversal.is_total or reversal.id in {item.id for item in known}:
        return reversal
    ours = [
        item.id
        for item in refunds.of_order(connection, order.id)
        if item.reference == reversal.id and reversal.kind is ReversalKind.REFUND
    ]
    return replace(reversal, id=ours[0]) if ours else reversal


def _again(kept: KeptNotice, notice: Notice, order: Order | None) -> Taken:
    """Return what became of a notice when it came first.

    Raises:
        IdempotencyConflictError: It says something else than then.
    """
    if kept.notice != replace(notice, kind=kept.notice.kind, means=""):
        raise IdempotencyConflictError(
            f"event {notice.event!r} came before, and said something else of a payment; give each "
            "notice an id of its own"
        )
    return Taken(kept.outcome, kept.detail, _booked_of(kept.outcome, order))


def _booked_of(outcome: Outcome, order: Order | None) -> AccountId | None:
    is_booked = outcome in (Outcome.BOOKED, Outcome.REPEATED)
    return order.account if is_booked and order is not None else None


def _kept(row: Row[Any]) -> KeptNotice:
    notice = Notice(
        row.event,
        row.kind,
        PaymentStatus(row.status),
        row.order,
        row.payment,
        None if row.amount is None else int(row.amount),
        row.currency,
        row.is_live,
        row.reversal,
    )
    return KeptNotice(
        row.number, row.provider, row.received_ms, notice, Outcome(row.outcome), row.detail
    )
