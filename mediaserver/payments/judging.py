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
        mode = ("test money", "real money")
        return (
            Outcome.TEST_MODE,
            f"it is {mode[notice.is_live]}, and this server takes {mode[is_live]}",
        )
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
    return Outcome.BOOKED, ""
