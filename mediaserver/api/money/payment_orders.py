"""Orders of payments, as several rooms of the API begin and show them."""

from __future__ import annotations

from typing import Any

from mediaserver import log
from mediaserver.api.context import Context
from mediaserver.api.viewers.viewers import tell_store
from mediaserver.http.problem import ApiError
from mediaserver.payments.provider import ProviderAwayError
from mediaserver.payments.records import Order, Refund
from mediaserver.payments.service import Payments
from metering.units import account_text

_log = log.get("payments")


async def pay(shared: Context, order: Order, back_url: str, *, saves: bool = False) -> Order:
    """Return an order that its provider knows; what is paid by that is in the store.

    Args:
        saves: Its payer agrees to be charged by the same means from then on.

    Raises:
        ApiError: 503 when the provider does not answer.
    """
    try:
        order, taken = await shared.payments.checkout(
            order, back_url, shared.clock.now_ms(), saves=saves
        )
    except ProviderAwayError as error:
        # Its words are for who has the account there, not for who pays.
        _log.error(
            "payments.order.failed", order=order.id, provider=order.provider, reason=str(error)
        )
        raise ApiError(
            503,
            "Not available now",
            f"{order.provider} does not take the order at the moment; ask again with the same "
            "Idempotency-Key",
            {"Retry-After": "5"},
        ) from error
    if taken is not None and taken.account is not None:
        await tell_store(shared, taken.account)
    return order


def order_json(payments: Payments, order: Order) -> dict[str, Any]:
    """Return an order as JSON."""
    return {
        "order": order.id,
        "account": account_text(order.account),
        "provider": order.provider,
        "amount": str(order.amount),
        "currency": order.currency,
        "currency_decimals": payments.decimals_of(order.provider, order.currency),
        "planck": str(order.planck),
        "state": order.state.value,
        "payment": order.payment,
        "pay_url": order.pay_url or None,
        "created_ms": order.created_ms,
        "paid_ms": order.paid_ms,
    }


def refund_json(refund: Refund) -> dict[str, Any]:
    """Return a refund as staff sees it."""
    return {
        "refund": refund.id,
        "order": refund.order,
        "account": account_text(refund.account),
        "amount": str(refund.amount),
        "planck": str(refund.planck),
        "why": refund.why,
        "state": refund.state.value,
        "reference": refund.reference,
        "detail": refund.detail,
        "made_by": refund.made_by,
        "created_ms": refund.created_ms,
        "done_ms": refund.done_ms,
    }
