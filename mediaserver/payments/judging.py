"""Whether a notice of a payment is booked, and why not. Pure.

Whom the money is for, how much and in which currency comes from our own order; the provider's word
is compared with it.
"""

from __future__ import annotations

from mediaserver.payments.records import Notice, Order, OrderState, Outcome, PaymentStatus


def judge(
    notice: Notice, order: Order | None, booked_for: str | None, *, provider: str, is_live: bool
) -> tuple[Outcome, str]:
    """Return what becomes of a notice, and why it is not booked.

    Args:
        order: The one that it names, None when there is none.
        booked_for: Id of the order that its payment was booked for, None when it was not.
        provider: Who sends it.
        is_live: Whether this server takes real money from that provider, or its test money.
    """
    if notice.status is not PaymentStatus.PAID:
        return Outcome.KEPT, ""
    if notice.is_live != is_live:
        return Outcome.TEST_MODE, other_mode(notice, is_live=is_live)
    if not notice.order:
        return Outcome.NOT_OURS, ""
    if order is None:
        return Outcome.UNKNOWN_ORDER, f"there is no order {notice.order}"
    if order.provider != provider:
        return Outcome.OTHER_PROVIDER, f"order {order.id} is to be paid by {order.provider}"
    if notice.currency != order.currency:
        paid = notice.currency or "no currency"
        return Outcome.WRONG_CURRENCY, f"{paid} was paid, and it is an order in {order.currency}"
    if notice.amount != order.amount:
        unit = f"in the minor unit of {order.currency}"
        return (
            Outcome.WRONG_AMOUNT,
            f"{notice.amount} was paid, and it is an order of {order.amount}, {unit}",
        )
    if booked_for == order.id:
        return Outcome.REPEATED, ""
    if booked_for is not None:
        return (
            Outcome.OTHER_ORDER,
            f"payment {notice.payment} was booked for order {booked_for}, not for {order.id}",
        )
    if order.state is OrderState.PAID:
        remedy = f"give payment {notice.payment} back"
        return Outcome.PAID_TWICE, f"the order was paid by {order.payment} already: {remedy}"
    if order.state is OrderState.CLOSED:
        remedy = f"give payment {notice.payment} back"
        return Outcome.CLOSED_ACCOUNT, f"its account was closed before it was paid: {remedy}"
    return Outcome.BOOKED, ""


def judge_reversal(
    notice: Notice, order: Order | None, *, is_live: bool
) -> tuple[Outcome | None, str]:
    """Return what becomes of a notice of a refund or dispute, None when it is to be booked.

    Args:
        order: The one that its payment was booked for, None when it was not.
        is_live: Whether this server takes real money from that provider, or its test money.
    """
    if notice.is_live != is_live:
        return Outcome.TEST_MODE, other_mode(notice, is_live=is_live)
    if order is None:
        return Outcome.KEPT, "its payment is not booked; it counts if that ever is"
    if notice.currency != order.currency:
        back = notice.currency or "no currency"
        return Outcome.WRONG_CURRENCY, f"{back} went back, and it was an order in {order.currency}"
    return None, ""


def other_mode(notice: Notice, *, is_live: bool) -> str:
    """Return the words for test money where real money is taken, or the reverse."""
    mode = ("test money", "real money")
    return f"it is {mode[notice.is_live]}, and this server takes {mode[is_live]}"
