"""Stripe: sessions at a fake of its API, and its webhooks, signed as it signs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import stripe

from mediaserver.payments.provider import (
    ProviderAwayError,
    RefundRefusedError,
    UnreadableNoticeError,
    WrongSignatureError,
)
from mediaserver.payments.records import Notice, PaymentStatus
from mediaserver.payments.settings import PaymentsSettings
from mediaserver.payments.stripe_charge import ORDER
from mediaserver.payments.stripe_checkout import REFUND, StripeCheckout
from metering.errors import InvalidValueError
from metering.units import AccountId
from tests.support.payments_fixture import a_refund, an_order
from tests.support.servers.stripe import KEY, SECRET, FakeStripe, event, signed

BACK = "https://live.example.org/cam/"
CHARGE = {"payment_intent": "pi_1", "currency": "eur", "metadata": {ORDER: "o1"}}


@pytest.fixture
async def fake() -> AsyncIterator[FakeStripe]:
    async with FakeStripe() as running:
        yield running


@pytest.fixture
async def provider(fake) -> AsyncIterator[StripeCheckout]:
    made = StripeCheckout(PaymentsSettings(stripe_url=fake.url), KEY, SECRET)
    yield made
    await made.close()


@pytest.fixture
def reader() -> StripeCheckout:
    return StripeCheckout(PaymentsSettings(), KEY, f"whsec_older\n{SECRET}")


def order() -> Any:
    return replace(an_order(AccountId(b"\x01" * 32)), provider="stripe")


async def test_an_order_is_one_session_however_often_it_is_asked_for(fake, provider) -> None:
    wanted = order()

    first = await provider.checkout(wanted, BACK)

    assert first == await provider.checkout(wanted, BACK)
    assert fake.requests == 2
    (session,) = fake.sessions.values()
    assert first == session["url"]
    assert (session["amount_total"], session["currency"]) == (1000, "eur")
    assert session["metadata"] == session["intent_metadata"] == {ORDER: wanted.id}
    assert session["success_url"] == BACK


async def test_both_events_of_a_payment_say_the_same_of_the_order(fake, provider) -> None:
    wanted = order()
    await provider.checkout(wanted, BACK)

    notices = [provider.read(*signed(item)) for item in fake.events_of_payment("cs_test_1")]

    assert [notice.kind for notice in notices] == [
        "checkout.session.completed",
        "payment_intent.succeeded",
    ]
    for notice in notices:
        assert replace(notice, event="", kind="") == Notice(
            *("", "", PaymentStatus.PAID, wanted.id, "pi_1", 1000, "EUR"), is_live=False
        )


async def test_a_session_that_is_completed_is_not_paid_yet(fake, provider) -> None:
    await provider.checkout(order(), BACK)

    events = fake.events_of_payment("cs_test_1", is_slow=True)

    assert [provider.read(*signed(item)).status for item in events] == [
        *(PaymentStatus.OTHER, PaymentStatus.PAID, PaymentStatus.PAID)
    ]


async def test_who_does_not_answer_or_refuses_is_told(fake, provider) -> None:
    with pytest.raises(ProviderAwayError, match="InvalidRequestError"):
        await provider.checkout(order(), "not an address")
    fake.is_away = True
    with pytest.raises(ProviderAwayError, match="APIError"):
        await provider.checkout(order(), BACK)


async def test_nobody_there_is_told() -> None:
    made = StripeCheckout(PaymentsSettings(stripe_url="http://127.0.0.1:9"), KEY, SECRET)
    with pytest.raises(ProviderAwayError, match="APIConnectionError"):
        await made.checkout(order(), BACK)
    await made.close()


@pytest.mark.parametrize(
    ("kind", "word", "status"),
    [
        ("refund.created", "pending", PaymentStatus.REFUNDED),
        ("refund.created", "requires_action", PaymentStatus.REFUNDED),
        ("refund.updated", "succeeded", PaymentStatus.REFUNDED),
        ("charge.refund.updated", "canceled", PaymentStatus.REFUND_FAILED),
        ("refund.failed", "failed", PaymentStatus.REFUND_FAILED),
        ("charge.dispute.created", "needs_response", PaymentStatus.DISPUTED),
        ("charge.dispute.updated", "under_review", PaymentStatus.DISPUTED),
        ("charge.dispute.created", "warning_needs_response", PaymentStatus.OTHER),
        ("charge.dispute.closed", "warning_closed", PaymentStatus.OTHER),
        ("charge.dispute.closed", "won", PaymentStatus.WON),
        ("charge.dispute.closed", "lost", PaymentStatus.LOST),
    ],
)
def test_a_refund_or_dispute_is_read_by_its_own_name_and_state(reader, kind, word, status) -> None:
    """Of another event of it that says the same nothing more is booked."""
    is_dispute = "dispute" in kind
    item = {
        **CHARGE,
        "object": "dispute" if is_dispute else "refund",
        "id": "dp_1" if is_dispute else "re_1",
        "amount": 300,
        "status": word,
        "metadata": {},
    }
    notice = reader.read(*signed(event(kind, item)))

    assert (notice.status, notice.payment, notice.amount) == (status, "pi_1", 300)
    assert (notice.reversal, notice.currency, notice.order) == (item["id"], "EUR", "")
    if not is_dispute:
        ours = {**item, "metadata": {REFUND: "ab12"}}
        assert reader.read(*signed(event(kind, ours))).reversal == "ab12"


async def test_a_refund_is_asked_once_and_known_by_our_name(fake, provider) -> None:
    paid, wanted = replace(order(), payment="pi_1"), a_refund()
    first = await provider.give_back(paid, wanted)

    assert first == await provider.give_back(paid, wanted) == "re_test_1"
    assert [(item["amount"], item["metadata"]) for item in fake.refunds.values()] == [
        (300, {REFUND: wanted.id})
    ]


async def test_a_refund_that_is_asked_for_again_days_later_is_found(fake, provider) -> None:
    """Its key is forgotten by then, and others of the payment are none of ours."""
    paid, wanted = replace(order(), payment="pi_1"), a_refund()
    fake.refunds["re_0"] = {"id": "re_0", "object": "refund", "payment_intent": "pi_1"} | {
        "metadata": {},
        "status": "succeeded",
    }
    first = await provider.give_back(paid, wanted)
    fake.forget_keys()

    assert await provider.give_back(paid, wanted) == first
    assert list(fake.refunds) == ["re_0", first]


@pytest.mark.parametrize("odd", [{}, [], {"object": "refund", "id": "re_1"}, "x"])
async def test_an_answer_that_is_no_refund_is_asked_for_again(fake, provider, odd) -> None:
    fake.odd = odd
    with pytest.raises(ProviderAwayError):
        await provider.give_back(replace(order(), payment="pi_1"), a_refund())


async def test_what_stripe_refuses_is_told_from_what_it_does_not_answer(fake, provider) -> None:
    fake.is_away = True
    with pytest.raises(ProviderAwayError):
        await provider.give_back(replace(order(), payment="pi_1"), a_refund())
    fake.is_away, fake.refuses = False, "Charge has already been refunded."
    with pytest.raises(RefundRefusedError, match="already been refunded") as caught:
        await provider.give_back(replace(order(), payment="pi_1"), a_refund())
    assert not caught.value.is_made
    fake.refuses, fake.refund_status = "", "failed"
    with pytest.raises(RefundRefusedError, match="is failed") as caught:
        await provider.give_back(replace(order(), payment="pi_1"), a_refund())
    assert caught.value.is_made


@pytest.mark.parametrize(
    ("kind", "changed", "status", "amount"),
    [
        ("charge.refunded", {"amount_refunded": 300}, PaymentStatus.REFUNDED, 300),
        (
            "checkout.session.async_payment_failed",
            {"amount_total": 1000},
            *(PaymentStatus.FAILED, 1000),
        ),
        ("payment_intent.payment_failed", {"id": "pi_1", "amount": 9}, PaymentStatus.FAILED, 9),
    ],
)
def test_what_else_happens_to_a_payment_is_read(reader, kind, changed, status, amount) -> None:
    notice = reader.read(*signed(event(kind, {**CHARGE, **changed})))

    assert (notice.status, notice.payment, notice.amount) == (status, "pi_1", amount)
    assert (notice.order, notice.currency) == ("o1", "EUR")


def test_what_this_version_does_not_know_is_kept(reader) -> None:
    notice = reader.read(*signed(event("customer.created", {"id": "cus_1", "metadata": {}})))

    assert (notice.status, notice.order, notice.amount) == (PaymentStatus.OTHER, "", None)


def test_what_others_sell_through_the_same_account_names_no_order(reader) -> None:
    item = {"id": "pi_9", "amount_received": 500, "currency": "eur", "metadata": {"shop": "7"}}

    assert reader.read(*signed(event("payment_intent.succeeded", item))).order == ""


@pytest.mark.parametrize("age_s", [301, 86_400])
def test_an_old_webhook_is_refused(reader, age_s) -> None:
    with pytest.raises(WrongSignatureError, match="stripe_webhook_secret_file"):
        reader.read(*signed(event("customer.created", {}), age_s=age_s))


def test_what_somebody_else_signed_is_refused(reader) -> None:
    body, headers = signed(event("customer.created", {"id": "cus_1"}))
    own = stripe.WebhookSignature.generate_signature_header(body.decode(), "whsec_other")

    for header in (own, "", "t=1", "v1=", "t=x,v1=y", "t=1,v1=é", ",", "=", "t=" + "9" * 400):
        with pytest.raises(WrongSignatureError):
            reader.read(body, {"Stripe-Signature": header})
    with pytest.raises(WrongSignatureError):
        reader.read(body, {})
    with pytest.raises(WrongSignatureError):
        reader.read(b"\xff" + body, headers)


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b'"x"',
        b"[" * 3000,
        event("payment_intent.succeeded", {"id": "pi_1", "currency": "eur"}),
        event("payment_intent.succeeded", {"id": None, "amount_received": 1, "currency": "eur"}),
        event("payment_intent.succeeded", {"id": "pi_1", "amount_received": "1"}),
        event("payment_intent.succeeded", {"id": "p" * 151, "amount_received": 1}),
        event("payment_intent.succeeded", {**CHARGE, "id": "pi_1", "amount_received": 1.5}),
        event("charge.refunded", {**CHARGE, "amount_refunded": 1, "currency": "euro"}),
        event("charge.refunded", {**CHARGE, "amount_refunded": 1}, livemode="no"),
        event("charge.refunded", {**CHARGE, "amount_refunded": 1, "metadata": [1]}),
        event("charge.refunded", CHARGE, data=None),
        event("charge.refunded", CHARGE, id=7),
    ],
)
def test_what_is_no_event_is_told_so_and_nothing_breaks(reader, body) -> None:
    with pytest.raises(UnreadableNoticeError):
        reader.read(*signed(body))


@pytest.mark.parametrize(
    ("key", "is_live", "secrets"),
    [
        ("sk_live_1", False, SECRET),
        ("sk_test_1", True, SECRET),
        ("pk_live_1", True, SECRET),
        (KEY, False, ""),
        (KEY, False, "whsec_a\n" * 5),
    ],
)
def test_a_key_of_another_mode_or_no_secret_is_refused_at_start(key, is_live, secrets) -> None:
    """Nobody pays in with test cards where real money is meant."""
    with pytest.raises(InvalidValueError, match=r"payments\.stripe_"):
        StripeCheckout(PaymentsSettings(stripe_live=is_live), key, secrets)
