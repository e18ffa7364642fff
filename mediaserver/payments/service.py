"""What control does with payments: orders, notices, and the tables of both in the book's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from mediaserver import log
from mediaserver.payments import demo_button, inbox, orders
from mediaserver.payments.demo_button import DemoButton
from mediaserver.payments.inbox import Taken
from mediaserver.payments.provider import Provider, UnreadableNoticeError
from mediaserver.payments.records import NOT_BOOKED, Order, OrderState
from mediaserver.payments.settings import PaymentsSettings
from mediaserver.payments.signed_webhook import Post, SignedWebhook
from mediaserver.payments.stripe_checkout import StripeCheckout
from mediaserver.payments.tables import TABLES
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId, Planck

__all__ = ("Connection", "Payments", "providers_of")

T = TypeVar("T")
UNREADABLE_DETAIL_MAX: Final = 1000

_log = log.get("payments")


def providers_of(
    settings: PaymentsSettings, demo_planck: int, post: Post | None = None
) -> tuple[Provider, ...]:
    """Return the providers that the settings name.

    Args:
        post: Sends a body to the operator's own payment system; None: nobody does.

    Raises:
        InvalidValueError: A file with a secret cannot be used.
    """
    found: list[Provider] = []
    if settings.webhook_secret_file:
        name, file = "payments.webhook_secret_file", settings.webhook_secret_file
        text = _secret_text(name, file)
        try:
            found.append(
                SignedWebhook(text, settings.webhook_pay_url, settings.webhook_charge_url, post)
            )
        except InvalidValueError as error:
            raise InvalidValueError(f"{name}: {file} {error}") from error
    if settings.stripe_secret_key_file:
        file = settings.stripe_webhook_secret_file
        key = _secret_text("payments.stripe_secret_key_file", settings.stripe_secret_key_file)
        secrets = _secret_text("payments.stripe_webhook_secret_file", file)
        found.append(StripeCheckout(settings, key, secrets))
    if demo_planck:
        found.append(DemoButton())
    return tuple(found)


def _secret_text(name: str, file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{name}: {file} cannot be read: {error}; correct it") from error


class Payments:
    """The orders and the inbox, in the book's database, and the providers behind the port."""

    def __init__(
        self,
        book: AsyncBook,
        settings: PaymentsSettings,
        providers: tuple[Provider, ...],
        *,
        demo_planck: int,
        symbol: str,
        decimals: int,
    ) -> None:
        """Take what control opened.

        Args:
            demo_planck: What one press of the demo's button gives; 0 where there is none.
            symbol: Of the asset, which is the demo's currency.
            decimals: Of the asset.
        """
        self.settings = settings
        self._book = book
        self._providers = {provider.name: provider for provider in providers}
        self.demo_planck = demo_planck
        self._symbol = symbol
        self._decimals = decimals

    async def open(self) -> None:
        """Make the tables, or change those of an older program.

        Raises:
            BookError: They were written by a newer program, or the database does not answer.
        """
        await self._book.run(TABLES.bring_up)

    async def close(self) -> None:
        """Close the connections to the providers."""
        for provider in self._providers.values():
            await provider.close()

    @property
    def charging(self) -> list[str]:
        """Return the providers that take payments by themselves."""
        return [name for name in self.names if self._providers[name].can_charge]

    @property
    def names(self) -> list[str]:
        """Return the providers that somebody can pay by."""
        return sorted(self._providers)

    def provider(self, name: str) -> Provider:
        """Return a provider.

        Raises:
            UnknownNameError: It is not configured here.
        """
        if name not in self._providers:
            known = ", ".join(self.names) or "none"
            raise UnknownNameError(f"nobody pays by {name[:40]!r} here; providers are: {known}")
        return self._providers[name]

    def unit_of(self, provider: str) -> tuple[str, int]:
        """Return the currency of a provider's amounts, and the decimal places they have.

        Whatever the currency is called: an asset may have its name, and planck are no cents.
        """
        if provider == demo_button.NAME:
            return self._symbol, self._decimals
        return self.settings.currency, self.settings.currency_decimals

    def decimals_of(self, provider: str, currency: str) -> int | None:
        """Return the decimal places of an amount; None: its currency is no longer configured."""
        known, decimals = self.unit_of(provider)
        return decimals if currency == known else None

    def draft(  # noqa: PLR0917 -- one row
        self,
        provider: str,
        amount: int | None,
        account: AccountId,
        person: str | None,
        idempotency_key: str | None,
        now_ms: int,
    ) -> Order:
        """Return an order that may be made, at the rate of today.

        Args:
            amount: In minor units; None for the demo's, which gives what it gives.

        Raises:
            UnknownNameError: The provider is not configured here.
            InvalidValueError: The amount is out of bounds.
        """
        self.provider(provider)
        if provider == demo_button.NAME:
            if amount not in (None, self.demo_planck):
                raise InvalidValueError(
                    "amount: the demo's button gives what it gives; leave it out"
                )
            amount, currency, planck = self.demo_planck, self._symbol, self.demo_planck
        else:
            low, high = self.settings.top_up_min, self.settings.top_up_max
            if amount is None or not low <= amount <= high:
                raise InvalidValueError(
                    f"amount: {amount} is not in {low} to {high}, in the minor unit of "
                    f"{self.settings.currency}"
                )
            currency = self.settings.currency
            planck = amount * int(self.settings.planck_per_minor_unit)
        return Order(
            id=orders.new_id(),
            account=account,
            person=person,
            provider=provider,
            amount=amount,
            currency=currency,
            planck=Planck(planck),
            state=OrderState.OPEN,
            payment=None,
            pay_url="",
            idempotency_key=idempotency_key,
            created_ms=now_ms,
            paid_ms=None,
        )

    async def checkout(
        self, order: Order, back_url: str, now_ms: int, *, saves: bool = False
    ) -> tuple[Order, Taken | None]:
        """Return an order with the address where it is paid; the demo's is paid at once.

        Repeated after a crash it goes on where it was: a provider is asked with the order's id.

        Args:
            saves: Its payer agrees to be charged by the same means from then on.

        Raises:
            ProviderAwayError: The provider does not answer; the order stays, and may be asked for
                again with its idempotency key.
        """
        if order.state is not OrderState.OPEN or order.pay_url:
            return order, None
        if order.provider == demo_button.NAME:
            notice = demo_button.paid(order)
            taken = await self.write(
                lambda book, connection: inbox.take(
                    book, connection, order.provider, notice, b"", now_ms, is_live=True
                )
            )
        else:
            taken = None
            url = await self.provider(order.provider).checkout(order, back_url, saves=saves)
            await self.write(lambda _, connection: orders.set_pay_url(connection, order.id, url))
        return await self.read(lambda connection: orders.get(connection, order.id)), taken

    async def hear(self, name: str, body: bytes, headers: Mapping[str, str], now_ms: int) -> Taken:
        """Take a webhook of a provider: kept, and booked where it pays an order.

        Raises:
            UnknownNameError: The provider is not configured here.
            WrongSignatureError: It is not the provider's, or too old.
            UnreadableNoticeError: It is, and not in the form that we know; it is kept.
            IdempotencyConflictError: Its event was another one.
            BookError: The database does not answer; nothing was kept.
        """
        provider = self.provider(name)
        try:
            notice = provider.read(body, headers)
        except UnreadableNoticeError as error:
            detail = str(error)[:UNREADABLE_DETAIL_MAX]
            await self.write(
                lambda _, connection: inbox.keep_unreadable(connection, name, body, now_ms, detail)
            )
            _log.warning("payments.notice.unreadable", provider=name, reason=detail)
            raise
        taken = await self.write(
            lambda book, connection: inbox.take(
                book, connection, name, notice, body, now_ms, is_live=provider.is_live
            )
        )
        facts = {
            "provider": name,
            "event_id": notice.event,
            "payment": notice.payment,
            "order": notice.order,
            "outcome": taken.outcome.value,
        }
        if taken.outcome in NOT_BOOKED:
            _log.error("payments.notice.refused", reason=taken.detail, **facts)
        else:
            _log.info("payments.notice.taken", **facts)
        return taken

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` reads in one consistent view."""

        def run(book: Book) -> T:
            with book.viewing() as connection:
                return work(connection)

        return await self._book.run(run)

    async def write(self, work: Callable[[Book, Connection], T]) -> T:
        """Return what `work` returns; what it writes, the book's too, is one transaction."""

        def run(book: Book) -> T:
            with book.together() as connection:
                return work(book, connection)

        return await self._book.run(run)
