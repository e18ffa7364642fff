"""Notices of the operator's own payment system: the only importer of `standardwebhooks`.

Signed as the Standard Webhooks specification says: headers ``webhook-id``, ``webhook-timestamp``
and ``webhook-signature``, over the body as it came, at most five minutes old.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mediaserver import text
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments.provider import UnreadableNoticeError, WrongSignatureError
from mediaserver.payments.records import Notice, Order, PaymentStatus, Refund
from metering.errors import InvalidValueError
from metering.units import account_text

NAME: Final = "webhook"
HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
ID_CHARACTERS_MAX: Final = 200
PAYMENT_CHARACTERS_MAX: Final = 150
"""So that the key of its deposit has at most 200."""
SECRETS_MAX: Final = 4
"""Of which one is being replaced by the next."""
SECRET_BYTES_MIN: Final = 24
"""Standard Webhooks, "Symmetric": between 24 and 64 bytes."""
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
        from standardwebhooks import Webhook  # noqa: PLC0415 -- only where it is configured
        from standardwebhooks.webhooks import EmptyWebhookSecretError  # noqa: PLC0415

        lines = secrets.split()
        try:
            self._checks = [Webhook(line) for line in lines]
        except (ValueError, EmptyWebhookSecretError) as error:
            raise InvalidValueError(f"is not base64 with whsec_ before it: {error}") from error
        if not 0 < len(lines) <= SECRETS_MAX or min(map(len, lines)) < SECRET_BYTES_MIN:
            raise InvalidValueError(
                f"holds no secret of {SECRET_BYTES_MIN} bytes, or more than {SECRETS_MAX}"
            )
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
        given = {name: headers.get(name, "") for name in HEADERS}
        if not any(self._is_signed(check, body, given) for check in self._checks):
            raise WrongSignatureError(
                "the signature of this webhook does not hold: sign webhook-id, webhook-timestamp "
                "and the body as it is sent with the secret of payments.webhook_secret_file, and "
                "send it within five minutes"
            )
        event = given["webhook-id"]
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

    @staticmethod
    def _is_signed(check: object, body: bytes, headers: dict[str, str]) -> bool:
        from standardwebhooks import Webhook  # noqa: PLC0415

        assert isinstance(check, Webhook)
        try:
            check.verify(body, headers, json_parse=False)
        except Exception:  # noqa: BLE001 -- the library raises what its parsing meets, too
            return False
        return True


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
