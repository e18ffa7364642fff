"""Notices of the operator's own payment system, signed as `mediaserver.http.webhook_signatures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mediaserver import text
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.http.webhook_signatures import WebhookSecrets
from mediaserver.payments.provider import UnreadableNoticeError, WrongSignatureError
from mediaserver.payments.records import Notice, Order, PaymentStatus, Refund
from metering.units import account_text

NAME: Final = "webhook"
ID_CHARACTERS_MAX: Final = 200
PAYMENT_CHARACTERS_MAX: Final = 150
"""So that the key of its deposit has at most 200."""
STATUSES: Final = ("paid", "failed", "refunded", "refund-failed", "disputed", "won", "lost")


@dataclass(frozen=True, slots=True)
class PaymentBody:
    """Body of a notice; docs/operator/payments.md, "Your own payment system"."""

    order: str
    payment: str
    status: str
    amount: int
    currency: str
    is_test: bool = False
    reversal: str = ""


class SignedWebhook:
    """The operator's own payment system.

    Attributes:
        name: In addresses and rows.
        is_live: Real money is taken, test money is not.
    """

    name = NAME
    is_live = True

    def __init__(self, secrets: str, pay_url: str) -> None:
        """Take its secrets, one a line, and where people pay.

        Raises:
            InvalidValueError: One is no secret.
        """
        self._secrets = WebhookSecrets(secrets)
        self._pay_url = pay_url

    async def checkout(self, order: Order, back_url: str) -> str:
        """Return where an order is paid, empty where nobody told us."""
        filled = {
            "order": order.id,
            "amount": str(order.amount),
            "currency": order.currency,
            "account": account_text(order.account),
            "back": back_url,
        }
        url = self._pay_url
        for name, value in filled.items():
            url = url.replace(f"{{{name}}}", quote(value, safe=""))
        return url

    async def give_back(self, order: Order, refund: Refund) -> str | None:  # noqa: ARG002 -- the port's
        """Return nothing: the payment system is told by `payments refunds`, and says when done."""
        return None

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def read(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        """Return what a webhook says, its signature and age checked.

        Raises:
            WrongSignatureError: It is not signed with our secret, or too old.
            UnreadableNoticeError: It is signed, and not in the form that is described.
        """
        if not self._secrets.is_signed(body, headers):
            raise WrongSignatureError(
                "the signature of this webhook does not hold: sign webhook-id, webhook-timestamp "
                "and the body as it is sent with the secret of payments.webhook_secret_file, and "
                "send it within five minutes"
            )
        event = headers["webhook-id"]
        if len(event) > ID_CHARACTERS_MAX or text.fault(event):
            raise WrongSignatureError(
                f"the header webhook-id has 1 to {ID_CHARACTERS_MAX} printable characters"
            )
        try:
            content = request_records.parse(PaymentBody, body)
        except ApiError as error:
            raise UnreadableNoticeError(error) from error
        if faults := [*_faults(content)]:
            answer = ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
            raise UnreadableNoticeError(answer)
        return Notice(
            event,
            content.status,
            PaymentStatus(content.status),
            content.order,
            content.payment,
            content.amount,
            content.currency,
            not content.is_test,
            content.reversal,
        )


def _faults(content: PaymentBody) -> list[str]:
    faults = []
    for name in ("order", "payment"):
        value: str = getattr(content, name)
        if not 0 < len(value) <= ID_CHARACTERS_MAX - 50:
            faults.append(
                f"{name}: has {len(value)} characters; give 1 to {ID_CHARACTERS_MAX - 50}"
            )
    if content.status not in STATUSES:
        faults.append(f"status: {content.status[:40]} is not known; use {' or '.join(STATUSES)}")
    if len(content.reversal) > PAYMENT_CHARACTERS_MAX or text.fault(content.reversal):
        faults.append(f"reversal: has at most {PAYMENT_CHARACTERS_MAX} printable characters")
    if content.status == PaymentStatus.REFUND_FAILED and not content.reversal:
        faults.append("reversal: is missing; a refund that failed is named by its id")
    currency = content.currency
    if not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        faults.append(f"currency: {currency[:40]} is not three capital letters, such as EUR")
    return faults
