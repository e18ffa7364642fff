"""Stripe: a card that was saved at its Checkout pays by itself, once for each order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from mediaserver.payments.provider import ChargeDeclinedError, ProviderAwayError
from mediaserver.payments.records import PaymentStatus
from mediaserver.payments.settings import PaymentsSettings
from mediaserver.payments.stripe_charge import ORDER, means_of
from mediaserver.payments.stripe_checkout import StripeCheckout
from metering.units import AccountId
from tests.support.payments_fixture import an_order
from tests.support.servers.stripe import KEY, SECRET, FakeStripe, signed

BACK = "https://live.example.org/me/"
MEANS = "cus_1:pm_1"


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    async with FakeStripe() as running:
        yield running


@pytest.fixture
async def provider(fake) -> AsyncIterator[StripeCheckout]:
    made = StripeCheckout(PaymentsSettings(stripe_url=fake.url), KEY, SECRET)
    yield made
    await made.close()


def order() -> Any:
    return replace(an_order(AccountId(b"\x01" * 32)), provider="stripe")


async def test_the_first_payment_saves_the_card_and_its_notice_names_it(fake, provider) -> None:
    """A payment without that consent names none."""
    wanted = order()
    await provider.checkout(wanted, BACK, saves=True)
    await provider.checkout(order(), BACK)
    saving, other = list(fake.sessions)
    notices = [provider.read(*signed(item)) for item in fake.events_of_payment(saving)]
    others = [provider.read(*signed(item)) for item in fake.events_of_payment(other, "pi_2")]

    assert [notice.means for notice in notices] == ["", f"cus_{saving}:pm_{saving}"]
    assert [notice.means for notice in others] == ["", ""]
    assert "pm_" not in repr(notices)


async def test_an_order_is_one_payment_also_after_its_answer_and_key_were_lost(
    fake, provider
) -> None:
    wanted = order()
    fake.loses = True
    with pytest.raises(ProviderAwayError):
        await provider.charge(wanted, MEANS, 0, is_late=False)
    fake.loses = False
    fake.forget_keys()
    reference = await provider.charge(wanted, MEANS, 0, is_late=False)
    assert reference == await provider.charge(wanted, MEANS, 0, is_late=True)

    ((intent, made),) = fake.intents.items()
    assert (reference, made["amount"], made["currency"]) == (intent, 1000, "eur")
    assert (made["customer"], made["payment_method"]) == ("cus_1", "pm_1")
    notice = provider.read(*signed(fake.event_of_charge(intent)))
    assert (notice.status, notice.order, notice.amount) == (PaymentStatus.PAID, wanted.id, 1000)
    assert made["metadata"] == {ORDER: wanted.id}


async def test_a_card_that_does_not_pay_is_declined_and_cannot_pay_later(fake, provider) -> None:
    """Also where its answer was lost: what waits at Stripe is canceled first."""
    fake.declines = "Your card has insufficient funds."
    with pytest.raises(ChargeDeclinedError, match="insufficient funds"):
        await provider.charge(order(), MEANS, 0, is_late=False)
    fake.loses = True
    lost = order()
    with pytest.raises(ProviderAwayError):
        await provider.charge(lost, MEANS, 0, is_late=False)
    fake.loses = False
    with pytest.raises(ChargeDeclinedError):
        await provider.charge(lost, MEANS, 0, is_late=False)

    assert [item["status"] for item in fake.intents.values()] == ["canceled", "canceled"]


async def test_what_is_late_is_not_begun_and_an_away_stripe_is_no_decline(fake, provider) -> None:
    with pytest.raises(ProviderAwayError):
        await provider.charge(order(), MEANS, 0, is_late=True)
    fake.is_away = True
    with pytest.raises(ProviderAwayError):
        await provider.charge(order(), MEANS, 0, is_late=False)
    assert fake.intents == {}


def test_only_a_paid_payment_with_consent_names_a_means() -> None:
    item = {"customer": "cus_1", "payment_method": "pm_1", "setup_future_usage": "off_session"}
    assert means_of("payment_intent.succeeded", item) == MEANS
    assert means_of("payment_intent.payment_failed", item) == ""
    assert means_of("payment_intent.succeeded", {**item, "setup_future_usage": None}) == ""
    assert means_of("payment_intent.succeeded", {**item, "customer": None}) == ""
    with pytest.raises(TypeError):
        means_of("payment_intent.succeeded", {**item, "customer": "cus:1"})
