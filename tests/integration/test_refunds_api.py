"""Money that goes back over the API: in the book and the store with the answer, and compared."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from metering.units import Verdict
from tests.integration.test_payments_api import KEY, hook, paid
from tests.support.control_server import PRICE, Server, settings
from tests.support.payments_fixture import PLANCK, SECRET
from tests.support.people_browser import ORIGIN, Browser
from tests.support.servers import stripe

WHY = {"why": "asked for it"}
SECOND = 100 * PLANCK
"""A second costs a euro."""


@pytest.fixture
async def fake() -> AsyncIterator[stripe.FakeStripe]:
    async with stripe.FakeStripe() as running:
        yield running


@pytest.fixture
async def server(tmp_path, fake) -> AsyncIterator[Server]:
    made = settings()
    for name, text in (("payments.secret", SECRET), ("key", stripe.KEY), ("hook", stripe.SECRET)):
        (tmp_path / name).write_text(text)
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        payments=replace(
            made.payments,
            planck_per_minor_unit=str(PLANCK),
            webhook_secret_file=str(tmp_path / "payments.secret"),
            stripe_secret_key_file=str(tmp_path / "key"),
            stripe_webhook_secret_file=str(tmp_path / "hook"),
            stripe_url=fake.url,
        ),
    )
    async with Server(tmp_path, tree) as started:
        yield started


@pytest.fixture
async def browser(server) -> Browser:
    made = Browser(server)
    await made.sign_up("Ann")
    return made


async def bought(server: Server, browser: Browser, provider: str = "webhook") -> Mapping[str, Any]:
    """Return an order of ten euros that is paid."""
    wanted = {"provider": provider, "amount": 1000}
    _, order = await browser.ask("POST", "me/top-ups", wanted, KEY)
    if provider == "webhook":
        await hook(server, paid(order))
    return order


async def test_a_refund_leaves_the_balance_and_is_asked_of_stripe(server, browser, fake) -> None:
    order = await bought(server, browser, "stripe")
    for event in fake.events_of_payment("cs_test_1"):
        await hook(server, event, provider="stripe")
    await server.balance(order, 1000 * PLANCK)

    at = f"payments/{order['order']}/refunds"
    made = await server.api("POST", at, {"amount": 300, **WHY}, 201, Idempotency_Key="r1")
    assert (made["state"], made["planck"]) == ("done", str(300 * PLANCK))
    again = await server.api("POST", at, {"amount": 300, **WHY}, 200, Idempotency_Key="r1")
    assert again == made
    (refund,) = fake.refunds.values()
    assert (refund["id"], refund["payment_intent"]) == (made["reference"], "pi_1")
    await server.balance(order, 700 * PLANCK)

    # Stripe's own events of it, one by one and as their sum, say nothing new.
    charge = {"object": "charge", "payment_intent": "pi_1", "currency": "eur"}
    for body in (
        stripe.event("refund.created", refund),
        stripe.event("charge.refunded", {**charge, "amount_refunded": 300}),
    ):
        _, answered, _ = await hook(server, body, provider="stripe")
        assert answered["outcome"] == "repeated"
    shown = await server.api("GET", f"payments/{order['order']}")
    assert (shown["given_back"], shown["given_back_planck"]) == ("300", str(300 * PLANCK))
    assert [item["refund"] for item in shown["refunds"]] == [made["refund"]]
    report = await server.api("GET", "reconcile")
    assert report["is_balanced"], report
    assert report["payments"]["back"] == str(300 * PLANCK)
    entries = (await server.api("GET", "audit"))["entries"]
    assert [entry["action"] for entry in entries].count("payment.refund") == 1


async def test_a_refund_that_stripe_refuses_is_back_with_the_answer(server, browser, fake) -> None:
    order = await bought(server, browser, "stripe")
    for event in fake.events_of_payment("cs_test_1"):
        await hook(server, event, provider="stripe")
    fake.refuses = "Charge ch_1 has already been refunded."

    at = f"payments/{order['order']}/refunds"
    made = await server.api("POST", at, {"amount": 300, **WHY}, 201, Idempotency_Key="r1")

    assert (made["state"], "already been refunded" in made["detail"]) == ("refused", True)
    await server.balance(order, 1000 * PLANCK)
    assert (await server.api("GET", "reconcile"))["is_balanced"]


async def test_what_the_operators_own_system_gives_back_is_done_by_its_word(
    server, browser
) -> None:
    order = await bought(server, browser)
    at = f"payments/{order['order']}/refunds"
    made = await server.api("POST", at, {"amount": 300, **WHY}, 201, Idempotency_Key="r1")
    assert made["state"] == "asked"
    waiting = await server.api("GET", "payments/refunds?state=asked")
    assert [item["refund"] for item in waiting["refunds"]] == [made["refund"]]

    body = paid(order, status="refunded", amount=300, reversal=made["refund"])
    assert (await hook(server, body, "msg_2"))[1]["outcome"] == "repeated"

    assert (await server.api("GET", "payments/refunds?state=asked"))["refunds"] == []
    other = await server.api("POST", at, {"amount": 200, **WHY}, 201, Idempotency_Key="r2")
    done = await server.api(
        "POST", f"payments/refunds/{other['refund']}/done", {"reference": "bank 7"}
    )
    assert (done["state"], done["reference"]) == ("done", "bank 7")
    await server.balance(order, 500 * PLANCK)


async def test_what_was_spent_is_a_debt_that_is_shown_and_paid_by_what_comes_next(
    server, browser
) -> None:
    """A balance below 0 never plays; the store and the book say the same of it."""
    stream = await server.stream(planck_per_s=str(SECOND))
    order = await bought(server, browser)
    account, first = order["account"], int(time.time()) - 60
    minted = await server.api("POST", "tokens", {"viewer": account, "stream": "cam"}, 201)
    seen = await server.claim(minted, order, stream, first, 5, SECOND)
    spent = 5 * SECOND
    assert seen.verdict is Verdict.GRANTED
    await hook(server, paid(order, status="disputed", reversal="dp_1"), "msg_2")
    await server.balance(order, -spent)

    async with asyncio.timeout(10):
        while True:
            if (await server.api("GET", f"viewers/{account}"))["spent"] == str(spent):
                break
            await asyncio.sleep(0.05)

    _, me = await browser.ask("GET", "me")
    assert (me["balance"], me["debt"]) == ("0", str(spent))
    assert (await server.api("GET", f"viewers/{account}"))["debt"] == str(spent)
    seen = await server.claim(minted, order, stream, first + 5, 1, SECOND)
    assert seen.verdict is Verdict.PURSE

    status, refused = await browser.ask("POST", "streams/cam/join", {})
    assert (status, refused["balance"], refused["debt"]) == (402, "0", str(spent))
    assert f"you owe {spent} planck" in refused["detail"]

    wanted = {"provider": "demo"}
    await browser.ask("POST", "me/top-ups", wanted, {**KEY, "Idempotency-Key": "k2"})
    await server.balance(order, 500 - spent)
    await hook(server, paid(order, status="won", reversal="dp_1"), "msg_3")
    await server.balance(order, 1000 * PLANCK + 500 - spent)
    assert (await browser.ask("GET", "me"))[1]["debt"] == "0"


async def test_o2_a_credit_is_taken_back_by_its_key(server) -> None:
    await server.viewer()
    body = {"deposit": "ann 1", "planck": str(4 * PRICE), **WHY}
    made = await server.api("POST", "viewers/ann/refunds", body, 201, Idempotency_Key="r1")
    assert (made["is_new"], made["is_applied"]) == (True, True)
    assert (made["balance"], made["withdrawn"]) == (str(6 * PRICE), str(4 * PRICE))
    again = await server.api("POST", "viewers/ann/refunds", body, 200, Idempotency_Key="r1")
    assert not again["is_new"]
    await server.balance(made, 6 * PRICE)

    for wrong, words in (
        ({"planck": str(7 * PRICE)}, "went back already"),
        ({"deposit": "ann 2"}, "ann has no deposit 'ann 2'"),
        ({"deposit": "payment:stripe:pi_1"}, "refund its order"),
        ({"planck": "0"}, "is not above 0"),
        ({"why": ""}, "why: has 1 to"),
    ):
        problem = await server.api(
            "POST", "viewers/ann/refunds", {**body, **wrong}, 422, Idempotency_Key="r2"
        )
        assert words in problem["detail"], problem
    assert (await server.api("GET", "reconcile"))["is_balanced"]


async def test_a_refund_that_cannot_be_is_refused_in_words(server, browser) -> None:
    order = await bought(server, browser)
    at = f"payments/{order['order']}/refunds"
    for body, words in (
        ({"amount": 1001, **WHY}, "is not in 1 to 1000"),
        ({"amount": 0, **WHY}, "is not in 1 to 1000"),
        ({"amount": 1, "why": ""}, "why: has 1 to 500"),
        ({"amount": 1, "reference": "", **WHY}, "reference: has 1 to 150"),
    ):
        problem = await server.api("POST", at, body, 422, Idempotency_Key="r1")
        assert words in problem["detail"], problem
    await server.api("POST", at, {"amount": 1, **WHY}, 400)
    await server.api(
        "POST", f"payments/{'0' * 32}/refunds", {"amount": 1, **WHY}, 404, Idempotency_Key="r1"
    )
    await server.api("POST", f"payments/refunds/{'0' * 32}/done", {"reference": "x"}, 404)
    await server.balance(order, 1000 * PLANCK)
