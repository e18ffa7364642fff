"""Stripe: a card that was saved at its Checkout pays an order by itself. Beside `stripe_checkout`.

A payment that the card does not make is canceled there before it counts as declined, so that
nothing makes it later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mediaserver.payments.provider import ChargeDeclinedError, ProviderAwayError
from mediaserver.payments.records import Order

if TYPE_CHECKING:
    import stripe

ORDER: Final = "vilokanam_order"
"""Of the metadata of a session and its payment: which of our orders it is for."""
ID_CHARACTERS_MAX: Final = 150
CLOCKS_APART_S: Final = 3600
_TAKEN: Final = ("succeeded", "processing", "requires_capture")
_ASK_BY_HAND: Final = "your bank wants you to confirm it yourself"


def means_of(kind: str, item: dict[str, Any]) -> str:
    """Return what may be charged after a payment: its customer and card; empty: nothing.

    Raises:
        TypeError: It is not as the API describes it.
    """
    if kind != "payment_intent.succeeded" or item.get("setup_future_usage") != "off_session":
        return ""
    customer, card = item.get("customer"), item.get("payment_method")
    if not customer or not card:
        return ""
    for value in (customer, card):
        if not isinstance(value, str) or len(value) > ID_CHARACTERS_MAX or ":" in value:
            raise TypeError(f"{str(value)[:40]!r} is no id")
    return f"{customer}:{card}"


class StripeCharge:
    """Off-session payments."""

    def __init__(self, client: stripe.StripeClient, product: str) -> None:
        self._intents = client.v1.payment_intents
        self._product = product

    async def take(self, order: Order, means: str, *, is_late: bool) -> str:
        """Return Stripe's id of the payment of an order; asked again it is the same.

        Raises:
            ChargeDeclinedError: The card does not pay, and the payment is canceled.
            ProviderAwayError: Stripe does not answer, or not now.
        """
        import stripe  # noqa: PLC0415 -- 7 MB, only where it is configured

        customer, _, card = means.partition(":")
        try:
            # A key is forgotten after a day, and an answer may have been lost.
            made = await self._known(customer, order)
            if made is None and is_late:
                raise ProviderAwayError("it was not asked for in time")
            words = ""
            if made is None:
                made, words = await self._make(order, customer, card)
            if made is not None and made.status in _TAKEN:
                return str(made.id)
            if made is not None and made.status != "canceled":
                await self._intents.cancel_async(made.id)
        except stripe.InvalidRequestError as error:
            # It was paid meanwhile, or is not known any more: what it is now is asked next.
            raise ProviderAwayError(f"{type(error).__name__}: {error}") from error
        except stripe.StripeError as error:
            raise ProviderAwayError(f"{type(error).__name__}: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderAwayError(f"its answer is no payment: {error!r}") from error
        raise ChargeDeclinedError(words or _words(made))

    async def _make(
        self, order: Order, customer: str, card: str
    ) -> tuple[stripe.PaymentIntent | None, str]:
        """Return the payment that was made, None where none was, and why it is not paid."""
        import stripe  # noqa: PLC0415

        try:
            made = await self._intents.create_async(
                {
                    "amount": order.amount,
                    "currency": order.currency.lower(),
                    "customer": customer,
                    "payment_method": card,
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "off_session": True,
                    "confirm": True,
                    "description": self._product,
                    "metadata": {ORDER: order.id},
                },
                {"idempotency_key": f"vilokanam-charge-{order.id}"},
            )
        except stripe.CardError as error:
            is_asked = error.code == "authentication_required"
            words = _ASK_BY_HAND if is_asked else error.user_message or "the card was declined"
            return await self._known(customer, order), words
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise
            # The card was taken away there, by its owner or by staff.
            return None, "the saved card is not there any more"
        return made, ""

    async def _known(self, customer: str, order: Order) -> stripe.PaymentIntent | None:
        """Return Stripe's payment that is ours by its metadata, None: not made yet."""
        since_s = order.created_ms // 1000 - CLOCKS_APART_S
        made = await self._intents.list_async(
            {"customer": customer, "created": {"gte": since_s}, "limit": 100}
        )
        async for item in made.auto_paging_iter():
            if getattr(item.metadata, ORDER, None) == order.id:
                return item
        return None


def _words(made: stripe.PaymentIntent | None) -> str:
    """Return why a payment that was made is not paid, for its payer."""
    problem = getattr(made, "last_payment_error", None)
    return str(getattr(problem, "message", None) or "the card was declined")
