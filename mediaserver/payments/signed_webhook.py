"""Notices of the operator's own payment system, signed as `mediaserver.http.webhook_signatures`."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mediaserver import text
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.http.webhook_signatures import WebhookSecrets
from mediaserver.payments.provider import (
    ProviderAwayError,
    UnreadableNoticeError,
    WrongSignatureError,
)
from mediaserver.payments.records import Notice, Order, PaymentStatus, Refund
from metering.units import account_text

NAME: Final = "webhook"
CHARGE: Final = "charge"
Post = Callable[[str, str, Mapping[str, str]], Awaitable[object]]
"""Sends a body with headers to an address; raises `ProviderAwayError` unless it was taken."""
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
        needs_means: It knows by the account how its payers pay.
    """

    name = NAME
    is_live = True

    needs_means = False

    def __init__(
        self, secrets: str, pay_url: str, charge_url: str = "", post: Post | None = None
    ) -> None:
        """Take its secrets, one a line, and where people pay.

        Args:
            charge_url: Where it is asked for payments by themselves; empty: it takes none.
            post: Sends it a body, by an address that may be used.

        Raises:
            InvalidValueError: One is no secret.
        """
        self._secrets = WebhookSecrets(secrets)
        self._pay_url = pay_url
        self._charge_url = charge_url
        self._post = post

    @property
    def can_charge(self) -> bool:
        """Return whether it is asked for payments by themselves."""
        return bool(self._charge_url) and self._post is not None

    async def charge(self, order: Order, means: str, now_ms: int, *, is_late: bool) -> str | None:  # noqa: ARG002 -- the port's
        """Ask it, signed and always by the same id; it says by a notice how that ended.

        Raises:
            ProviderAwayError: It did not take the request, or it is too late for one.
        """
        if is_late or self._post is None:
            raise ProviderAwayError("it is too late to ask your payment system for this")
        body = json.dumps(
            {
                "type": CHARGE,
                "order": order.id,
                "account": account_text(order.account),
                "amount": order.amount,
                "currency": order.currency,
            },
            separators=(",", ":"),
        )
        headers = self._secrets.signed_headers(f"charge_{order.id}", body, now_ms)
        await self._post(self._charge_url, body, headers)
        return None

    async def checkout(self, order: Order, back_url: str, *, saves: bool = False) -> str:  # noqa: ARG002 -- the port's
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
