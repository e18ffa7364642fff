"""Refunds and disputes of payments as rows, and the postings that follow from them.

What a provider told is kept whether the payment is booked or not; what the book holds is the sum of
it, so notices may come in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from mediaserver.payments.records import Order, Outcome, PaymentStatus
from mediaserver.payments.reversals import (
    OtherAmountError,
    Reversal,
    ReversalKind,
    given_and_taken,
    joined,
    taken_back,
)
from mediaserver.payments.schema import notices
from mediaserver.payments.schema import reversals as _reversals
from metering.book.book import Book
from metering.book.returns import Return, ReturnKind
from metering.book.rows import chunks
from metering.units import Planck

_KINDS = {
    (ReversalKind.REFUND, True): ReturnKind.REFUND,
    (ReversalKind.REFUND, False): ReturnKind.REFUND_FAILED,
    (ReversalKind.DISPUTE, True): ReturnKind.CHARGEBACK,
    (ReversalKind.DISPUTE, False): ReturnKind.CHARGEBACK_WON,
}


class OtherPaymentError(Exception):
    """A refund or dispute was of another payment before; says of which."""


def record(
    connection: Connection, provider: str, payment: str, heard: Reversal, now_ms: int
) -> Reversal:
    """Write down what is heard of a reversal; return what is known of it now.

    Raises:
        OtherAmountError: It had another amount before; nothing is written.
        OtherPaymentError: It was of another payment before; nothing is written.
    """
    c = _reversals.c
    is_it = (
        (c.provider == provider)
        & (c.kind == heard.kind.value)
        & (c.id == heard.id)
        & (c.currency == heard.currency)
        & (c.is_total == heard.is_total)
    )
    row = connection.execute(select(_reversals).where(is_it)).one_or_none()
    if row is None:
        connection.execute(
            insert(_reversals).values(
                provider=provider,
                payment=payment,
                kind=heard.kind.value,
                id=heard.id,
                amount=heard.amount,
                currency=heard.currency,
                is_total=heard.is_total,
                is_undone=heard.is_undone,
                created_ms=now_ms,
            )
        )
        return heard
    if row.payment != payment:
        raise OtherPaymentError(f"{heard.kind} {heard.id} is of payment {row.payment}")
    known = joined(_reversal(row), heard)
    values = {"amount": known.amount, "is_undone": known.is_undone}
    connection.execute(update(_reversals).where(is_it).values(**values))
    return known


def never_was(connection: Connection, provider: str, refund: str) -> None:
    """Note that a refund of ours never was: its provider refused it."""
    c = _reversals.c
    connection.execute(
        update(_reversals)
        .where(c.provider == provider, c.id == refund, c.kind == ReversalKind.REFUND.value)
        .values(amount=0)
    )


def join(  # noqa: PLR0917 -- one row
    connection: Connection, provider: str, payment: str, theirs: str, ours: str, amount: int
) -> Reversal | None:
    """Make one of a refund of ours and what was told of it by another id; None: nothing was told.

    Args:
        theirs: The provider's id: from here on it is known by ours alone.
        amount: Of ours, in minor units.

    Raises:
        OtherAmountError: It was told with another amount, or failed; nothing is written.
        OtherPaymentError: It is of another payment; nothing is written.
    """
    c = _reversals.c
    is_refund = (c.provider == provider) & (c.kind == ReversalKind.REFUND.value)
    by_id = select(_reversals).where(is_refund, c.is_total.is_(False))
    row = connection.execute(by_id.where(c.id == theirs)).first()
    if row is None or theirs == ours:
        return None
    if row.payment != payment:
        raise OtherPaymentError(f"refund {theirs} is of payment {row.payment}")
    if int(row.amount) != amount:
        raise OtherAmountError(f"refund {theirs} was of {row.amount}, and {ours} is of {amount}")
    if row.is_undone:
        raise OtherAmountError(f"refund {theirs} failed")
    mine = connection.execute(by_id.where(c.id == ours)).one()
    connection.execute(delete(_reversals).where(c.number == row.number))
    if row.number < mine.number:
        # The sum that was told when we asked may hold it.
        before = ReversalKind.TOLD_BEFORE.value
        connection.execute(
            delete(_reversals).where(c.provider == provider, c.kind == before, c.id == ours)
        )
    return _reversal(row)


def of_payment(connection: Connection, provider: str, payment: str) -> list[Reversal]:
    """Return all that is known of what went back of a payment, in the order in which it came."""
    c = _reversals.c
    query = select(_reversals).where(c.provider == provider, c.payment == payment)
    return [_reversal(row) for row in connection.execute(query.order_by(c.number))]


def of_payments(
    connection: Connection, payments: Sequence[str]
) -> dict[tuple[str, str | None], list[Reversal]]:
    """Return what is known of some payments, by provider and payment."""
    by_payment: dict[tuple[str, str | None], list[Reversal]] = {}
    for some in chunks(payments):
        query = select(_reversals).where(_reversals.c.payment.in_(some))
        _add(by_payment, connection.execute(query.order_by(_reversals.c.number)))
    return by_payment


def all_known(connection: Connection) -> dict[tuple[str, str | None], list[Reversal]]:
    """Return all that is known, by provider and payment."""
    by_payment: dict[tuple[str, str | None], list[Reversal]] = {}
    _add(by_payment, connection.execute(select(_reversals).order_by(_reversals.c.number)))
    return by_payment


def amount_back(order: Order, known: list[Reversal]) -> int:
    """Return how much of an order's payment its payer has back, in minor units."""
    return taken_back(known, order.amount, order.currency)


def twice(order: Order, known: list[Reversal]) -> str:
    """Say that an order's payer has more back than they paid, by refund and dispute; else empty."""
    total = given_and_taken(known, order.currency)
    if total <= order.amount:
        return ""
    return (
        f"of payment {order.payment} over {order.amount} minor units of {order.currency}, {total} "
        "are refunded or disputed: the bank should know of the refund"
    )


def lost_disputes(connection: Connection) -> dict[tuple[str, str | None], frozenset[str]]:
    """Return by provider and payment the ids of disputes that a provider says are lost."""
    c, found = notices.c, dict[tuple[str, str | None], frozenset[str]]()
    taken = c.outcome.in_([Outcome.BOOKED.value, Outcome.REPEATED.value])
    query = select(c.provider, c.payment, c.reversal).where(
        c.status == PaymentStatus.LOST.value, taken
    )
    for row in connection.execute(query):
        at = (row.provider, row.payment)
        found[at] = found.get(at, frozenset()) | {row.reversal or row.payment}
    return found


def lost_for_good(order: Order, known: list[Reversal], lost: frozenset[str]) -> str:
    """Say what of an order's payment went back above it by disputes that are lost; else empty.

    Args:
        lost: Ids of those; one that was won after all is none.
    """
    above = given_and_taken(known, order.currency) - order.amount
    by_disputes = sum(
        item.amount
        for item in known
        if item.kind is ReversalKind.DISPUTE
        and item.id in lost
        and not item.is_undone
        and item.currency == order.currency
    )
    if not 0 < above <= by_disputes:
        return ""
    return (
        f"payment {order.payment} was given back and its dispute is lost: {above} minor units of "
        f"{order.currency} above the payment are a loss, and settled"
    )


def planck_of(order: Order, amount: int) -> Planck:
    """Return what a part of an order's payment bought: exact, at the rate of the order."""
    return Planck(order.planck * amount // order.amount)


def planck_back(order: Order, known: list[Reversal]) -> Planck:
    """Return how much of what an order bought went back."""
    return planck_of(order, amount_back(order, known))


def apply(  # noqa: PLR0917 -- book and row
    book: Book,
    connection: Connection,
    order: Order,
    deposit: str,
    cause: Reversal,
    why: str,
    now_ms: int,
    kind: ReturnKind | None = None,
) -> bool:
    """Bring the book to what is known of a paid order's payment; return whether it changed.

    Args:
        connection: Of `book.together`.
        deposit: Idempotency key of the order's deposit.
        cause: What was told last: the posting is by its name.
        why: What is kept with the posting.
        kind: Of the posting; None: as the cause says.
    """
    assert order.payment is not None
    known = of_payment(connection, order.provider, order.payment)
    planck = Planck(planck_back(order, known) - book.returns.of_deposit(deposit))
    if planck:
        _post(book, order, deposit, cause, planck, why, now_ms, kind)
    return bool(planck)


def apply_early(
    book: Book, connection: Connection, order: Order, deposit: str, now_ms: int
) -> None:
    """Book what was told of a payment before the payment itself, each as a posting of its own."""
    assert order.payment is not None
    known, gone = of_payment(connection, order.provider, order.payment), Planck(0)
    for count, cause in enumerate(known, 1):
        planck = Planck(planck_back(order, known[:count]) - gone)
        if planck:
            _post(book, order, deposit, cause, planck, "told before the payment", now_ms)
            gone = Planck(gone + planck)


def _post(  # noqa: PLR0917 -- one row
    book: Book,
    order: Order,
    deposit: str,
    cause: Reversal,
    planck: Planck,
    why: str,
    now_ms: int,
    kind: ReturnKind | None = None,
) -> None:
    name = f"{order.payment}:{cause.amount}" if cause.is_total else cause.id
    kind = kind or _KINDS[cause.kind, planck > 0]
    book.returns.add(Return(kind, f"{order.provider}:{name}", deposit, planck, why), now_ms)


def _add(
    by_payment: dict[tuple[str, str | None], list[Reversal]], rows: Iterable[Row[Any]]
) -> None:
    for row in rows:
        by_payment.setdefault((row.provider, row.payment), []).append(_reversal(row))


def _reversal(row: Row[Any]) -> Reversal:
    return Reversal(
        ReversalKind(row.kind),
        row.id,
        int(row.amount),
        row.currency,
        is_total=row.is_total,
        is_undone=row.is_undone,
    )
