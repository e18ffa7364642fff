"""Opens payments for control: tables, providers, and the way to the operator's payment system."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mediaserver.payments.provider import ProviderAwayError
from mediaserver.payments.service import Payments, providers_of
from mediaserver.settings.records import Settings
from mediaserver.webhooks.addresses import networks_of
from mediaserver.webhooks.sender import NotSentError, Sender
from metering.book.async_book import AsyncBook

CHARGE_TIMEOUT_S: Final = 10.0
"""For a request that says "taken on", not "paid"."""


async def open_payments(book: AsyncBook, settings: Settings) -> Payments:
    """Return payments with their tables made, and the providers that the settings name.

    Raises:
        BookError: The tables are a newer program's, or the database does not answer.
        InvalidValueError: A file with a secret cannot be used.
    """
    price, sender = settings.price, None
    if settings.payments.webhook_charge_url:
        networks = networks_of(settings.webhooks.allowed_networks)
        sender = Sender(networks, CHARGE_TIMEOUT_S)

    async def post(url: str, body: str, headers: Mapping[str, str]) -> None:
        assert sender is not None
        try:
            await sender.post(url, body, headers)
        except NotSentError as error:
            raise ProviderAwayError(str(error)) from error

    demo_planck = int(price.demo_top_up_planck)
    payments = Payments(
        book,
        settings.payments,
        providers_of(settings.payments, demo_planck, post if sender is not None else None),
        demo_planck=demo_planck,
        symbol=price.asset_symbol,
        decimals=price.asset_decimals,
    )
    await payments.open()
    return payments
