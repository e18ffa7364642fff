"""Asks providers for payments that are written down: each once, however often it is asked.

A crash between the book and the provider is mended by asking again: a provider knows a payment by
its order's id. What it takes is booked by its notice alone, as if somebody had paid by hand.
"""

from __future__ import annotations

from typing import Final

from mediaserver import log
from mediaserver.payments import auto_charges, auto_rules, demo_button, orders
from mediaserver.payments.auto_records import AutoTopUp, Charge
from mediaserver.payments.provider import ChargeDeclinedError, ProviderAwayError
from mediaserver.payments.records import Order, OrderState
from mediaserver.payments.service import Connection, Payments
from metering.book.book import Book
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId

AGAIN_MS: Final = 60_000
"""A provider that was away is left alone for so long: its own retries take seconds."""
ASK_FOR_MS: Final = 3_600_000
"""Who watched an hour ago is not charged for it now; well below the day that keys live."""
WAIT_FOR_MS: Final = 86_400_000
"""A provider that has a payment says within a day how it ended."""

_log = log.get("payments")


async def ask(payments: Payments, charge: Charge, now_ms: int) -> AccountId | None:
    """Ask the provider for a payment; return whose money is in the book by that, None: nobody's.

    One that is away is asked again later, for an hour.
    """
    order = await payments.read(lambda connection: orders.get(connection, charge.id))
    facts = {"order": order.id, "provider": order.provider}
    if order.state is OrderState.PAID:
        await payments.write(lambda _, connection: auto_charges.paid(connection, charge, now_ms))
        return None
    is_late = now_ms - charge.created_ms >= ASK_FOR_MS
    if order.provider == demo_button.NAME:
        _, taken = await payments.checkout(order, "", now_ms)
        return None if taken is None else taken.account
    try:
        provider = payments.provider(order.provider)
        reference = await provider.charge(order, charge.means, now_ms, is_late=is_late)
    except ChargeDeclinedError as error:
        words = str(error)
        await payments.write(
            lambda _, connection: auto_charges.declined(connection, charge, words, now_ms)
        )
        _log.warning("payments.charge.declined", reason=words, **facts)
    except (ProviderAwayError, UnknownNameError) as error:
        await payments.write(lambda _, connection: _later(connection, charge, now_ms))
        _log.warning("payments.charge.waiting", reason=str(error), **facts)
    else:
        await payments.write(
            lambda _, connection: auto_charges.sent(connection, charge.id, reference)
        )
        _log.info("payments.charge.sent", reference=reference, **facts)
    return None


def begin(
    payments: Payments, book: Book, connection: Connection, person: str, now_ms: int
) -> Charge | None:
    """Write down the payment that somebody's balance is worth, if any.

    What was allowed and cannot be ordered as things are now ends it, in words.

    Args:
        connection: Of `book.together`.
    """

    def draft(rule: AutoTopUp) -> Order:
        amount = None if rule.provider == demo_button.NAME else rule.amount
        provider = payments.provider(rule.provider)
        order = payments.draft(rule.provider, amount, rule.account, person, None, now_ms)
        if (order.amount, order.currency) != (rule.amount, rule.currency):
            raise InvalidValueError(f"the currency or amount is another now: {order.currency}")
        if not provider.can_charge:
            raise InvalidValueError(f"{rule.provider} takes no automatic payments any more")
        return order

    try:
        return auto_charges.begin(book, connection, person, draft, now_ms)
    except (InvalidValueError, UnknownNameError) as error:
        auto_rules.turn_off(connection, person, str(error), now_ms)
        return None


def _later(connection: Connection, charge: Charge, now_ms: int) -> None:
    if now_ms - charge.created_ms >= ASK_FOR_MS:
        auto_charges.lost(connection, charge.id, now_ms)
    else:
        auto_charges.again(connection, charge.id, now_ms + AGAIN_MS)
