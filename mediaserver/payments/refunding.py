"""Money that we give back: in the book first, then asked of the provider until it says how it ends.

A crash between the two is mended by asking again: a provider knows a refund by its id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mediaserver import log
from mediaserver.payments import orders, refunds, taken_back
from mediaserver.payments.inbox import deposit_key
from mediaserver.payments.provider import ProviderAwayError, RefundRefusedError
from mediaserver.payments.records import Order, OrderState, Refund, RefundState
from mediaserver.payments.reversals import (
    OtherAmountError,
    Reversal,
    ReversalKind,
    told_so_far,
)
from mediaserver.payments.service import Connection, Payments
from mediaserver.payments.taken_back import OtherPaymentError
from metering.book.book import Book
from metering.book.returns import ReturnKind
from metering.errors import InvalidValueError, MeteringError, UnknownNameError
from metering.units import AccountId

ASK_AGAIN_S: Final = 60.0
"""How long a provider that was away is left alone: its own retries take seconds."""

_log = log.get("payments")


def left_of(connection: Connection, order: Order) -> int:
    """Return how much of an order's payment may still be given back, in minor units."""
    if order.payment is None:
        return 0
    known = taken_back.of_payment(connection, order.provider, order.payment)
    return order.amount - taken_back.amount_back(order, known)


def make(book: Book, connection: Connection, wanted: Refund) -> tuple[Refund, bool]:
    """Book a refund of a paid order; return it, and whether it is new: by its key it is one.

    One that has a `reference` already was given back by hand: nothing is asked of the provider.

    Args:
        connection: Of `book.together`.

    Raises:
        IdempotencyConflictError: The key was used for another one.
        InvalidValueError: The order is not paid, or so much of it is not left.
    """
    known = refunds.known_by(connection, wanted.made_by, wanted.idempotency_key)
    if known is not None:
        return refunds.same(known, wanted.order, wanted.amount), False
    order = orders.get(connection, wanted.order)
    if order.state is not OrderState.PAID or order.payment is None:
        raise InvalidValueError(f"order {order.id} is not paid: there is nothing to give back")
    left = left_of(connection, order)
    if not 0 < wanted.amount <= left:
        raise InvalidValueError(
            f"amount: {wanted.amount} is not in 1 to {left}: of order {order.id}, {order.amount} "
            f"minor units of {order.currency}, the rest is back already"
        )
    cause = Reversal(
        ReversalKind.REFUND, wanted.reference or wanted.id, wanted.amount, order.currency
    )
    known_before = taken_back.of_payment(connection, order.provider, order.payment)
    try:
        taken_back.record(connection, order.provider, order.payment, cause, wanted.created_ms)
    except (OtherAmountError, OtherPaymentError) as error:
        raise InvalidValueError(f"reference: {error}") from error
    so_far = told_so_far(known_before, order.currency)
    if so_far and wanted.reference is None:
        before = Reversal(ReversalKind.TOLD_BEFORE, wanted.id, so_far, order.currency)
        taken_back.record(connection, order.provider, order.payment, before, wanted.created_ms)
    refunds.add(connection, wanted)
    key = deposit_key(order.provider, order.payment)
    kind = ReturnKind.REFUND if wanted.withdrawal is None else ReturnKind.WITHDRAWAL
    taken_back.apply(book, connection, order, key, cause, wanted.why, wanted.created_ms, kind)
    return wanted, True


def draft(  # noqa: PLR0917 -- one row
    order: Order,
    amount: int,
    why: str,
    made_by: str,
    idempotency_key: str,
    now_ms: int,
    reference: str | None = None,
    withdrawal: str | None = None,
) -> Refund:
    """Return a refund that may be made.

    Args:
        reference: Of one that was given back by hand: the provider's id of it.
    """
    is_done = reference is not None
    return Refund(
        id=orders.new_id(),
        order=order.id,
        account=order.account,
        amount=amount,
        planck=taken_back.planck_of(order, amount),
        why=why,
        state=RefundState.DONE if is_done else RefundState.ASKED,
        reference=reference,
        detail="",
        made_by=made_by,
        idempotency_key=idempotency_key,
        created_ms=now_ms,
        done_ms=now_ms if is_done else None,
        withdrawal=withdrawal,
    )


def done(book: Book, connection: Connection, refund: Refund, reference: str, now_ms: int) -> bool:
    """Note that a refund was made, by the provider's id; False when its end was noted before.

    What a notice told by that id before is the same refund: it is booked once.

    Raises:
        InvalidValueError: The provider's refund of that id cannot be this one.
    """
    order = orders.get(connection, refund.order)
    if not refunds.decide(connection, refund.id, RefundState.DONE, now_ms, reference=reference):
        return False
    others = refunds.of_order(connection, order.id)
    if any(item.id != refund.id and reference in {item.id, item.reference} for item in others):
        raise InvalidValueError(f"reference: {reference[:80]!r} is another refund of the order")
    assert order.payment is not None
    try:
        heard = taken_back.join(
            connection, order.provider, order.payment, reference, refund.id, refund.amount
        )
    except (OtherAmountError, OtherPaymentError) as error:
        raise InvalidValueError(f"reference: {error}") from error
    if heard is not None:
        key, why = deposit_key(order.provider, order.payment), f"the same as refund {refund.id}"
        taken_back.apply(book, connection, order, key, heard, why, now_ms)
    return True


async def send(payments: Payments, refund: Refund, now_ms: int) -> Refund:
    """Ask the provider for a refund that is in the book; return how far it is then.

    Refused, its money is in the account again. A provider that is away is asked again later.
    """
    if refund.state is not RefundState.ASKED:
        return refund
    order = await payments.read(lambda connection: orders.get(connection, refund.order))
    facts = {"refund": refund.id, "order": order.id, "provider": order.provider}
    try:
        reference = await payments.provider(order.provider).give_back(order, refund)
    except (ProviderAwayError, UnknownNameError) as error:
        _log.warning("payments.refund.waiting", reason=str(error), **facts)
        return refund
    except RefundRefusedError as error:
        words, is_made = str(error)[: refunds.WHY_MAX], error.is_made
        await payments.write(
            lambda book, connection: _refuse(
                book, connection, order, refund, words, now_ms, is_made=is_made
            )
        )
        _log.error("payments.refund.refused", reason=words, **facts)
    else:
        if reference is None:
            return refund
        await payments.write(
            lambda _, connection: refunds.decide(
                connection, refund.id, RefundState.DONE, now_ms, reference=reference
            )
        )
        _log.info("payments.refund.done", reference=reference, **facts)
    return await payments.read(lambda connection: refunds.get(connection, refund.id))


def _refuse(  # noqa: PLR0917 -- one row
    book: Book,
    connection: Connection,
    order: Order,
    refund: Refund,
    words: str,
    now_ms: int,
    *,
    is_made: bool,
) -> None:
    """Book that a refund does not leave; what a notice told of it meanwhile is not undone twice."""
    if not refunds.decide(connection, refund.id, RefundState.REFUSED, now_ms, detail=words):
        return
    assert order.payment is not None
    cause = Reversal(
        ReversalKind.REFUND, refund.id, refund.amount, order.currency, is_undone=is_made
    )
    if is_made:
        taken_back.record(connection, order.provider, order.payment, cause, now_ms)
    else:
        taken_back.never_was(connection, order.provider, refund.id)
    key = deposit_key(order.provider, order.payment)
    taken_back.apply(book, connection, order, key, replace(cause, is_undone=True), words, now_ms)


async def keep_asking(
    payments: Payments, now_ms: Callable[[], int], changed: Callable[[AccountId], None]
) -> None:
    """Ask, at start and then again and again, for what no provider has answered yet.

    Args:
        changed: Called with an account whose money is there again.
    """
    while True:
        waiting: list[Refund] = []
        try:
            waiting = await payments.read(refunds.asked)
        except MeteringError as error:
            _log.warning("payments.refunds.waiting", reason=str(error))
        for refund in waiting:
            try:
                ended = await send(payments, refund, now_ms())
            except MeteringError as error:
                # Those behind it are asked all the same.
                _log.warning("payments.refund.waiting", reason=str(error), refund=refund.id)
                continue
            except Exception:  # noqa: BLE001 - one odd answer ends neither control nor the round
                _log.exception("payments.refund.odd", refund=refund.id)
                continue
            if ended.state is RefundState.REFUSED:
                changed(ended.account)
        await asyncio.sleep(ASK_AGAIN_S)
