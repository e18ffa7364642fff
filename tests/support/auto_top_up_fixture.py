"""A book with a viewer who allowed their balance to be filled, and providers that are told so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mediaserver.payments import auto_charges, auto_charging, auto_rules
from mediaserver.payments.auto_records import AutoState, AutoTopUp, Charge
from mediaserver.payments.provider import ChargeDeclinedError, ProviderAwayError
from mediaserver.payments.records import Notice, Order, Refund
from mediaserver.payments.service import Payments
from mediaserver.payments.settings import PaymentsSettings
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.units import AccountId, Cut, CutLine, Planck, Run, shard_of
from tests.support.book_fixture import PRICE, BookFixture
from tests.support.payments_fixture import PLANCK, SECRET, make_payments

PERSON = "ab" * 16
CENTS = PRICE // PLANCK
"""Of one second of the fixture's stream."""
NOW_MS = 1_767_225_600_000 + 15 * 86_400_000
"""The 16th of January 2026, 00:00 UTC."""
DAY_MS = 86_400_000


class Acquirer:
    """A provider that takes payments by their order's id, each once, and says so by notices.

    Attributes:
        taken: What it took, by order.
        asked: How often it was asked.
        outcome: What becomes of the next: `paid`, `declined`, `away`, or `lost`: taken, and its
            answer does not arrive.
    """

    name = "webhook"
    is_live = can_charge = True
    needs_means = False

    def __init__(self) -> None:
        self.taken: dict[str, int] = {}
        self.declined: set[str] = set()
        self.asked = 0
        self.outcome = "paid"

    async def checkout(self, order: Order, back_url: str, *, saves: bool = False) -> str:
        del order, back_url, saves
        return ""

    async def charge(self, order: Order, means: str, now_ms: int, *, is_late: bool) -> str | None:
        del means, now_ms
        self.asked += 1
        if self.outcome == "away":
            raise ProviderAwayError("away")
        if order.id in self.declined:
            raise ChargeDeclinedError("no money")
        if order.id not in self.taken:
            if is_late:
                raise ProviderAwayError("late")
            if self.outcome == "declined":
                self.declined.add(order.id)
                raise ChargeDeclinedError("no money")
            self.taken[order.id] = order.amount
        if self.outcome == "lost":
            raise ProviderAwayError("the answer is lost")
        return f"p {order.id}"

    async def give_back(self, order: Order, refund: Refund) -> str | None:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""

    def read(self, body: bytes, headers: Mapping[str, str]) -> Notice:
        raise NotImplementedError


def payments_of(book: Book, provider: Any = None) -> Payments:
    """Return payments of a book in euros, by one provider."""
    settings = PaymentsSettings(
        planck_per_minor_unit=str(PLANCK), top_up_min=1, top_up_max=10**7, webhook_pay_url=SECRET
    )
    providers = (provider or Acquirer(),)
    return Payments(AsyncBook(book), settings, providers, demo_planck=0, symbol="EUR", decimals=6)


def allowed(account: AccountId, **changed: Any) -> AutoTopUp:
    """Return a rule: below 10 seconds, 20 seconds, at most 60 a day and 100 a month."""
    rule = AutoTopUp(
        person=PERSON,
        account=account,
        provider="webhook",
        currency="EUR",
        threshold=Planck(10 * PRICE),
        amount=20 * CENTS,
        day_max=60 * CENTS,
        month_max=100 * CENTS,
        state=AutoState.ON,
    )
    return replace(rule, **changed)


def make_allowed(url: str = "sqlite://", **changed: Any) -> BookFixture:
    """Return a book whose viewer has 100 seconds and allowed to be charged."""
    fixture = make_payments(url, deposit=100 * PRICE)
    with fixture.book.together() as connection:
        auto_rules.put(connection, allowed(fixture.accounts[0], **changed))
    return fixture


def watch(book: Book, fixture: BookFixture, number: int, seconds: int) -> None:
    """Book seconds that the viewer watched; `number` counts the calls from 1."""
    account = fixture.accounts[0]
    total = sum(entry.booked for entry in book.cuts.entries()) + seconds
    line = CutLine(fixture.key(), (Run(1_700_000_000 + 100_000 * number, seconds),), total)
    book.cuts.book([Cut(shard_of(account), number, (line,))], 1)


def begin(book: Book, payments: Payments, now_ms: int = NOW_MS) -> Charge | None:
    with book.together() as connection:
        return auto_charging.begin(payments, book, connection, PERSON, now_ms)


def rule_of(book: Book) -> AutoTopUp:
    with book.viewing() as connection:
        rule = auto_rules.find(connection, PERSON)
    assert rule is not None
    return rule


def charges_of(book: Book) -> list[Charge]:
    """Return what was asked for, the newest first."""
    with book.viewing() as connection:
        return auto_charges.of_person(connection, PERSON)
