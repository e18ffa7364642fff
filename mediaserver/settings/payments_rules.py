"""What is wrong with ``[payments]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mediaserver.payments.settings import PaymentsSettings
from mediaserver.settings.records import Settings

PLACEHOLDERS: Final = ("{order}", "{amount}", "{currency}", "{account}", "{back}")
PRODUCT_CHARACTERS_MAX: Final = 200
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_PLANCK: Final = re.compile(r"0|[1-9][0-9]{0,38}")


def payments_faults(settings: Settings) -> Iterator[str]:
    """Yield each fault, ``payments.key: value is what is wrong; remedy``."""
    payments, price = settings.payments, settings.price
    if not _CURRENCY.fullmatch(payments.currency):
        yield (
            f'payments.currency: "{payments.currency}" is not three capital letters; use a code of '
            'ISO 4217, such as "EUR"'
        )
    if payments.top_up_min > payments.top_up_max:
        yield (
            f"payments.top_up_min: {payments.top_up_min} is above payments.top_up_max "
            f"{payments.top_up_max}; lower it"
        )
    yield from _pay_url(payments.webhook_pay_url)
    yield from _charge_url(payments)
    yield from _stripe(payments)

    rate = payments.planck_per_minor_unit
    has_provider = payments.has_provider
    if not _PLANCK.fullmatch(rate):
        yield (
            f'payments.planck_per_minor_unit: "{rate}" is not planck; use a whole decimal number '
            'such as "10000"'
        )
        return
    if has_provider and rate == "0":
        yield (
            'payments.planck_per_minor_unit: "0" buys nothing, and there is a provider; say what '
            "one minor unit buys"
        )
    if has_provider and settings.chain.backend != "journal":
        yield (
            f"payments.planck_per_minor_unit: {rate} with chain.backend {settings.chain.backend}: "
            "there deposits are made on the chain; leave the providers of [payments] out"
        )
    quantum, supply = price.quantum_planck, price.supply_planck
    if not (_PLANCK.fullmatch(quantum) and _PLANCK.fullmatch(supply)) or quantum == "0":
        return  # told by the rules of [price]
    if int(rate) % int(quantum):
        yield (
            f"payments.planck_per_minor_unit: {rate} is not a multiple of price.quantum_planck; "
            f"use a multiple of {quantum}"
        )
    if int(rate) * payments.top_up_max > int(supply):
        yield (
            f"payments.top_up_max: {payments.top_up_max} buys more than price.supply_planck "
            f"{supply}; use at most {int(supply) // int(rate)}"
        )


def _stripe(payments: PaymentsSettings) -> Iterator[str]:
    if payments.stripe_secret_key_file and not payments.stripe_webhook_secret_file:
        yield (
            'payments.stripe_webhook_secret_file: "" is empty, and there is a '
            "payments.stripe_secret_key_file: without it nobody says that something was paid; make "
            "an endpoint in Stripe's dashboard"
        )
    if not 0 < len(payments.stripe_product) <= PRODUCT_CHARACTERS_MAX:
        yield (
            f"payments.stripe_product: {payments.stripe_product[:40]!r} has "
            f"{len(payments.stripe_product)} characters; use 1 to {PRODUCT_CHARACTERS_MAX}"
        )
    parts = urlsplit(payments.stripe_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        yield (
            f"payments.stripe_url: {payments.stripe_url} is not the address of an API; use "
            "https://api.stripe.com"
        )


def _charge_url(payments: PaymentsSettings) -> Iterator[str]:
    url = payments.webhook_charge_url
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        is_address = is_address and parts.username is None and parts.password is None
    except ValueError:
        is_address = False
    if not is_address:
        yield (
            f'payments.webhook_charge_url: "{url}" is not a web address without name and password; '
            "use https://..."
        )
    if not payments.webhook_secret_file:
        yield (
            'payments.webhook_secret_file: "" is empty, and there is a '
            "payments.webhook_charge_url: your payment system could not tell our requests from "
            "others'; make a secret"
        )


def _pay_url(url: str) -> Iterator[str]:
    if not url:
        return
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield f"payments.webhook_pay_url: {url} is not a web address; use https://..."
    bare = url
    for placeholder in PLACEHOLDERS:
        bare = bare.replace(placeholder, "")
    if "{" in bare or "}" in bare:
        yield (
            f"payments.webhook_pay_url: {url} has an unknown placeholder; those are "
            f"{', '.join(PLACEHOLDERS)}"
        )
