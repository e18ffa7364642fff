"""Stripe: people pay at its Checkout, and its webhooks say so. The only importer of `stripe`.

Its library speaks over aiohttp here, so nothing of it blocks. Of what its events hold, only fields
that all versions of its API have are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mediaserver.http.problem import ApiError
from mediaserver.payments.provider import (
    ProviderAwayError,
    RefundRefusedError,
    UnreadableNoticeError,
    WrongSignatureError,
)
from mediaserver.payments.records import Notice, Order, PaymentStatus, Refund
from mediaserver.payments.settings import PaymentsSettings
from mediaserver.payments.stripe_charge import ORDER, StripeCharge, means_of
from metering.errors import InvalidValueError

if TYPE_CHECKING:
    import stripe

NAME: Final = "stripe"
SIGNATURE: Final = "Stripe-Signature"
AGE_MAX_S: Final = 300
"""Stripe's own default; it signs a repeated webhook anew."""
TIMEOUT_S: Final = 10.0
RETRIES: Final = 1
REFUND: Final = "vilokanam_refund"
"""Of a refund's metadata: which of ours it is."""
SECRETS_MAX: Final = 4
ID_CHARACTERS_MAX: Final = 150
_REFUND_FAILED: Final = ("failed", "canceled")
_DISPUTES: Final = {
    "needs_response": PaymentStatus.DISPUTED,
    "under_review": PaymentStatus.DISPUTED,
    "won": PaymentStatus.WON,
    "lost": PaymentStatus.LOST,
}
_LIVE: Final = ("sk_live_", "rk_live_")
_TEST: Final = ("sk_test_", "rk_test_")


class StripeCheckout:
    """Stripe.

    Attributes:
        name: In addresses and rows.
        is_live: Whether its real money is taken; else its test money.
        can_charge: Cards that were saved at its page.
        needs_means: One has to be saved there first.
    """

    name = NAME

    def __init__(self, settings: PaymentsSettings, key: str, webhook_secrets: str) -> None:
        """Take its key and the secrets of its webhooks, one a line.

        Raises:
            InvalidValueError: The key is not of the mode that is configured, or there is no secret.
        """
        import stripe  # noqa: PLC0415 -- 7 MB, only where it is configured

        wanted = _LIVE if settings.stripe_live else _TEST
        if not key.startswith(wanted):
            raise InvalidValueError(
                f"payments.stripe_secret_key_file: its key does not begin with "
                f"{' or '.join(wanted)}, and payments.stripe_live is "
                f"{str(settings.stripe_live).lower()}; correct one of them"
            )
        self._secrets = webhook_secrets.split()
        if not 0 < len(self._secrets) <= SECRETS_MAX:
            raise InvalidValueError(
                f"payments.stripe_webhook_secret_file: holds {len(self._secrets)} secrets; keep 1 "
                f"to {SECRETS_MAX}, a line each"
            )
        self.is_live = settings.stripe_live
        self._product = settings.stripe_product
        self._http = stripe.AIOHTTPClient(timeout=TIMEOUT_S)
        self._client = stripe.StripeClient(
            key,
            base_addresses={"api": settings.stripe_url},
            http_client=self._http,
            max_network_retries=RETRIES,
        )

    can_charge = True
    needs_means = True

    async def checkout(self, order: Order, back_url: str, *, saves: bool = False) -> str:
        """Return the page of a Checkout session: for the same order the same.

        Args:
            saves: A customer is made there with the card, which may be charged later; the page says
                so to the payer.

        Raises:
            ProviderAwayError: Stripe does not answer, or refuses.
        """
        import stripe  # noqa: PLC0415

        metadata = {ORDER: order.id}
        # A payment's own events name the order too, whichever comes first.
        intent: stripe.params.checkout.SessionCreateParamsPaymentIntentData = {"metadata": metadata}
        saving: stripe.params.checkout.SessionCreateParams = {}
        if saves:
            intent["setup_future_usage"] = "off_session"
            saving = {"customer_creation": "always"}
        try:
            made = await self._client.v1.checkout.sessions.create_async(
                {
                    "mode": "payment",
                    "client_reference_id": order.id,
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": order.currency.lower(),
                                "unit_amount": order.amount,
                                "product_data": {"name": self._product},
                            },
                        }
                    ],
                    "metadata": metadata,
                    "payment_intent_data": intent,
                    # What is paid is what was ordered, not its worth in the payer's currency.
                    "adaptive_pricing": {"enabled": False},
                    "success_url": back_url,
                    "cancel_url": back_url,
                    **saving,
                },
                {"idempotency_key": f"vilokanam-{order.id}"},
            )
        except stripe.StripeError as error:
            raise ProviderAwayError(f"{type(error).__name__}: {error}") from error
        if not made.url:
            raise ProviderAwayError("its session has no page to pay at")
        return str(made.url)

    async def charge(self, order: Order, means: str, now_ms: int, *, is_late: bool) -> str | None:  # noqa: ARG002 -- the port's
        """Return Stripe's id of an off-session payment: for the same order the same.

        Raises:
            ChargeDeclinedError: The card does not pay, and the payment is canceled.
            ProviderAwayError: Stripe does not answer, or not now.
        """
        return await StripeCharge(self._client, self._product).take(order, means, is_late=is_late)

    async def give_back(self, order: Order, refund: Refund) -> str | None:
        """Return Stripe's id of a refund of a payment: for the same refund the same.

        Raises:
            ProviderAwayError: Stripe does not answer, not now, or what is no refund.
            RefundRefusedError: It says that this cannot be given back.
        """
        import stripe  # noqa: PLC0415

        assert order.payment is not None
        try:
            # A key is forgotten after a day: asked again then, it would be given back twice.
            made = await self._known(order.payment, refund.id)
            if made is None:
                made = await self._client.v1.refunds.create_async(
                    {
                        "payment_intent": order.payment,
                        "amount": refund.amount,
                        "metadata": {REFUND: refund.id},
                    },
                    {"idempotency_key": f"vilokanam-{refund.id}"},
                )
            reference, status = made.id, made.status
        except stripe.InvalidRequestError as error:
            raise RefundRefusedError(f"{type(error).__name__}: {error}") from error
        except stripe.StripeError as error:
            raise ProviderAwayError(f"{type(error).__name__}: {error}") from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProviderAwayError(f"its answer is no refund: {error!r}") from error
        if status in _REFUND_FAILED:
            raise RefundRefusedError(f"its refund {reference} is {status}", is_made=True)
        return str(reference)

    async def _known(self, payment: str, refund: str) -> stripe.Refund | None:
        """Return Stripe's refund of a payment that is ours by its metadata, None: not made yet."""
        made = await self._client.v1.refunds.list_async({"payment_intent": payment, "limit": 100})
        async for item in made.auto_paging_iter():
            if getattr(item.metadata, REFUND, None) == refund:
                return item
        return None

    async def close(self) -> None:
        """Close the connections to Stripe."""
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the vendor names no type

    def read(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """Return what a webhook says, its signature and age checked.

        Raises:
            WrongSignatureError: It is not Stripe's, or too old.
            UnreadableNoticeError: It is no event of Stripe's.
        """
        if not any(_is_signed(body, headers.get(SIGNATURE, ""), item) for item in self._secrets):
            raise WrongSignatureError(
                "the signature of this webhook does not hold: the secret of the endpoint in "
                "Stripe's dashboard is to be in payments.stripe_webhook_secret_file, and the "
                "clock of this machine right"
            )
        try:
            event = json.loads(body)
            return _notice(event)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            answer = ApiError(422, "Invalid body", f"this is no event of Stripe's API: {error!r}")
            raise UnreadableNoticeError(answer) from error


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    import stripe  # noqa: PLC0415

    try:
        stripe.WebhookSignature.verify_header(body, header, secret, AGE_MAX_S)
    except (stripe.SignatureVerificationError, ValueError, TypeError):
        return False
    return True


def _notice(event: dict[str, Any]) -> Notice:
    """Return what an event says of a payment.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is not as the API describes events.
    """
    kind, item = event["type"], event["data"]["object"]
    status, payment, amount = _of_payment(kind, item)
    currency = item.get("currency") or ""
    metadata = item.get("metadata") or {}
    notice = Notice(
        event=event["id"],
        kind=kind[:100],
        status=status,
        order=metadata.get(ORDER, ""),
        payment=payment or "",
        amount=amount,
        currency=currency.upper(),
        is_live=event["livemode"],
        reversal=_reversal(item),
        means=means_of(kind, item),
    )
    for value in (notice.event, notice.order, notice.payment, notice.reversal):
        if not isinstance(value, str) or len(value) > ID_CHARACTERS_MAX:
            raise ValueError(f"{str(value)[:40]!r} is no id")
    if type(notice.is_live) is not bool or not (amount is None or type(amount) is int):
        raise TypeError("livemode or an amount is of another type")
    if len(notice.currency) not in (0, 3) or not notice.event:
        raise ValueError(f"{notice.currency[:40]!r} is no currency")
    if status is PaymentStatus.PAID and not notice.payment:
        raise ValueError("it is paid, and names no payment")
    return notice


def _of_payment(kind: str, item: dict[str, Any]) -> tuple[PaymentStatus, Any, Any]:
    """Return status, payment and amount of an event's object."""
    status = PaymentStatus.OTHER
    match kind:
        case "checkout.session.completed" | "checkout.session.async_payment_succeeded":
            # Completed is not paid: a bank's debit takes days.
            if item["payment_status"] == "paid":
                status = PaymentStatus.PAID
            return status, item["payment_intent"], item["amount_total"]
        case "checkout.session.async_payment_failed":
            return PaymentStatus.FAILED, item["payment_intent"], item["amount_total"]
        case "payment_intent.succeeded":
            return PaymentStatus.PAID, item["id"], item["amount_received"]
        case "payment_intent.payment_failed":
            return PaymentStatus.FAILED, item["id"], item["amount"]
        case "charge.refunded":
            return PaymentStatus.REFUNDED, item["payment_intent"], item["amount_refunded"]
        case _ if item.get("object") == "refund":
            failed = item["status"] in _REFUND_FAILED
            status = PaymentStatus.REFUND_FAILED if failed else PaymentStatus.REFUNDED
            return status, item["payment_intent"], item["amount"]
        case _ if item.get("object") == "dispute":
            # A bank's question alone, with a warning's status, takes no money yet.
            status = _DISPUTES.get(item["status"], status)
            return status, item["payment_intent"], item["amount"]
        case _:
            return status, None, None


def _reversal(item: dict[str, Any]) -> Any:
    """Return the id of the refund or dispute that an event is about; ours where we asked for it."""
    if item.get("object") not in ("refund", "dispute"):
        return ""
    return (item.get("metadata") or {}).get(REFUND) or item["id"]
