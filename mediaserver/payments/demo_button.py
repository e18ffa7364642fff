"""The demo's button: a provider that takes no money and says at once that it was paid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mediaserver.payments.provider import WrongSignatureError
from mediaserver.payments.records import Notice, Order, PaymentStatus, Refund

NAME: Final = "demo"


class DemoButton:
    """For demonstrations.

    Attributes:
        name: In addresses and rows.
        is_live: What it gives counts.
        can_charge: It gives by itself, too.
        needs_means: It asks nobody for anything.
    """

    name = NAME
    is_live = True

    can_charge = True
    needs_means = False

    async def checkout(self, order: Order, back_url: str, *, saves: bool = False) -> str:  # noqa: ARG002 -- the port's
        """Return nothing: there is no page to pay at."""
        return ""

    async def charge(self, order: Order, means: str, now_ms: int, *, is_late: bool) -> str | None:  # noqa: ARG002 -- the port's
        """Return an id: the order is booked as that of a press of the button is."""
        return order.id

    async def give_back(self, order: Order, refund: Refund) -> str | None:  # noqa: ARG002 -- the port's
        """Return an id: what it gave was no money, so none goes back to anybody."""
        return f"demo-{refund.id}"

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def read(self, body: bytes, headers: Mapping[str, str]) -> Notice:  # noqa: ARG002 -- the port's
        """Refuse: it sends no webhooks.

        Raises:
            WrongSignatureError: Always.
        """
        raise WrongSignatureError("the demo's button sends no webhooks")


def paid(order: Order) -> Notice:
    """Return what the button says of an order: it is paid, by a payment of the same id."""
    return Notice(
        order.id,
        "button",
        PaymentStatus.PAID,
        order.id,
        order.id,
        order.amount,
        order.currency,
    )
