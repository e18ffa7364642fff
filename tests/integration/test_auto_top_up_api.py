"""Balances that are filled by themselves, over the API: by a saved card, by one's own system."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from metering.units import Verdict
from tests.integration.test_payments_api import hook
from tests.support.control_server import Server, settings
from tests.support.payments_fixture import PLANCK, SECRET
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.servers import stripe
from tests.support.webhook_receiver import Receiver

SECOND = 100 * PLANCK
"""A second costs a euro."""
WANTED = {
    "provider": "stripe",
    "threshold_planck": str(600 * PLANCK),
    "amount": 1000,
    "day_max": 3000,
    "month_max": 9000,
}


@pytest.fixture
async def fake() -> AsyncIterator[stripe.FakeStripe]:
    async with stripe.FakeStripe() as running:
        yield running


@pytest.fixture
async def own() -> AsyncIterator[Receiver]:
    """The operator's own payment system."""
    async with Receiver(secret=SECRET) as made:
        yield made


@pytest.fixture
async def server(tmp_path, fake, own) -> AsyncIterator[Server]:
    made = settings()
    for name, text in (("payments.secret", SECRET), ("key", stripe.KEY), ("hook", stripe.SECRET)):
        (tmp_path / name).write_text(text)
    tree = replace(
        made,
        server=replace(made.server, public_url=ORIGIN),
        price=replace(made.price, asset_symbol="EUR", demo_top_up_planck=str(1000 * PLANCK)),
        webhooks=replace(made.webhooks, allowed_networks=("127.0.0.0/8",)),
        payments=replace(
            made.payments,
            planck_per_minor_unit=str(PLANCK),
            webhook_secret_file=str(tmp_path / "payments.secret"),
            webhook_charge_url=own.url,
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


@pytest.fixture
async def stream(server) -> Any:
    return await server.stream(planck_per_s=str(SECOND))


async def allow(browser: Browser, **changed: Any) -> Any:
    status, answer = await browser.ask("PUT", "me/auto-top-up", {**WANTED, **changed})
    assert status == 200, answer
    return answer


async def shown(browser: Browser) -> Any:
    return (await browser.ask("GET", "me/auto-top-up"))[1]


async def until(browser: Browser, state: str) -> Any:
    """Return the newest payment once it is in a state."""
    async with asyncio.timeout(20):
        while True:
            charges = (await shown(browser))["charges"]
            if charges and charges[0]["state"] == state:
                return charges[0]
            await asyncio.sleep(0.05)


async def watch(
    server: Server, stream: Any, account: str, seconds: int, *, first: int = 60
) -> Verdict:
    """Have somebody watch what costs a euro a second."""
    minted = await server.api("POST", "tokens", {"viewer": account, "stream": "cam"}, 201)
    start = server.now_s() - first
    seen = await server.claim(minted, {"account": account}, stream, start, seconds, SECOND)
    return seen.verdict


async def test_a_saved_card_fills_the_balance_once_while_one_watches(
    server, browser, fake, stream
) -> None:
    """The first payment is made by hand at Stripe's page, which keeps the card."""
    made = await allow(browser)
    assert (made["state"], made["pay_url"]) == (
        "setting-up",
        next(iter(fake.sessions.values()))["url"],
    )
    (session,) = fake.sessions
    for event in fake.events_of_payment(session):
        await hook(server, event, provider="stripe")
    on = await shown(browser)
    assert (on["state"], on["pay_url"], on["day"]) == ("on", None, "0")
    account = (await browser.ask("GET", "me"))[1]["account"]
    await server.balance({"account": account}, 1000 * PLANCK)

    assert await watch(server, stream, account, 5) is Verdict.GRANTED
    charge = await until(browser, "sent")
    ((intent, paid),) = fake.intents.items()
    assert (paid["amount"], paid["customer"]) == (1000, f"cus_{session}")
    for _ in range(2):
        await hook(server, fake.event_of_charge(intent), provider="stripe")
    await until(browser, "paid")
    await server.balance({"account": account}, 1500 * PLANCK)

    known = await shown(browser)
    assert (known["day"], known["month"], len(known["charges"])) == ("1000", "1000", 1)
    assert charge["order"] in {
        order["order"] for order in (await browser.ask("GET", "me/top-ups"))[1]["top_ups"]
    }
    entries = (await server.api("GET", "audit"))["entries"]
    assert [entry["action"] for entry in entries].count("auto_top_up.charge") == 1
    assert not any("cus_" in str(entry) or "pm_" in str(entry) for entry in entries)
    assert "pm_" not in str(known)
    report = await server.api("GET", "reconcile")
    assert report["is_balanced"], report

    status, off = await browser.ask("DELETE", "me/auto-top-up")
    assert (status, off["state"], off["why"]) == (200, "off", "")
    again = await allow(browser)  # the card was forgotten
    assert again["state"] == "setting-up"


async def test_a_declined_card_stops_the_picture_as_without_it(
    server, browser, fake, stream
) -> None:
    await allow(browser)
    for event in fake.events_of_payment("cs_test_1"):
        await hook(server, event, provider="stripe")
    account = (await browser.ask("GET", "me"))[1]["account"]
    await server.balance({"account": account}, 1000 * PLANCK)
    fake.declines = "Your card was declined."
    assert await watch(server, stream, account, 10) is Verdict.GRANTED
    charge = await until(browser, "declined")

    assert charge["detail"] == "Your card was declined."
    assert [item["status"] for item in fake.intents.values()] == ["canceled"]
    await server.balance({"account": account}, 0)
    assert (await shown(browser))["state"] == "on"


async def test_ones_own_payment_system_is_asked_and_answers_by_its_webhook(
    server, browser, own, stream
) -> None:
    made = await allow(browser, provider="webhook")
    assert (made["state"], made["pay_url"]) == ("on", None)
    account = (await browser.ask("GET", "me"))[1]["account"]
    at, planck = f"viewers/{account}/credits", {"planck": str(1000 * PLANCK)}
    await server.api("POST", at, planck, 201, Idempotency_Key="c")
    assert await watch(server, stream, account, 5) is Verdict.GRANTED

    charge = await until(browser, "sent")
    ((name, asked),) = own.taken()
    assert name == f"charge_{charge['order']}"
    expected = {"type": "charge", "amount": 1000, "currency": "EUR", "account": account}
    assert asked == {**expected, "order": charge["order"]}
    notice = {"order": charge["order"], "payment": "p1", "status": "paid", "amount": 1000}
    await hook(server, {**notice, "currency": "EUR"})
    await until(browser, "paid")
    await server.balance({"account": account}, 1500 * PLANCK)


async def test_the_demos_button_presses_itself(server, browser, stream) -> None:
    made = await allow(
        browser, provider="demo", amount=None, day_max=1000 * PLANCK, month_max=1000 * PLANCK
    )
    assert made["amount"] == str(1000 * PLANCK)
    await browser.ask("POST", "me/top-ups", {"provider": "demo"}, {**JSON, "Idempotency-Key": "d"})
    account = (await browser.ask("GET", "me"))[1]["account"]
    await server.balance({"account": account}, 1000 * PLANCK)
    assert await watch(server, stream, account, 6) is Verdict.GRANTED
    await until(browser, "paid")
    await server.balance({"account": account}, 1400 * PLANCK)
    assert await watch(server, stream, account, 10, first=40) is Verdict.GRANTED
    async with asyncio.timeout(10):
        while (await shown(browser))["held_by"] != "day":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    known, decimals = await shown(browser), server.tree.price.asset_decimals
    assert len(known["charges"]) == 1

    # The asset has the name of the currency here, and planck are no cents all the same.
    amounts = [known, *known["charges"], *(await browser.ask("GET", "me/top-ups"))[1]["top_ups"]]
    assert {(item["currency"], item["currency_decimals"]) for item in amounts} == {
        ("EUR", decimals)
    }
    paid = (await server.api("GET", "payments"))["payments"]
    assert {item["currency_decimals"] for item in paid} == {decimals}
    offers = {item["provider"]: item for item in known["offers"]}
    assert offers["demo"]["amount"] == str(1000 * PLANCK)
    assert (offers["demo"]["currency_decimals"], offers["stripe"]["currency_decimals"]) == (
        decimals,
        2,
    )
    by_card = await allow(browser, provider="webhook")
    assert (by_card["currency_decimals"], by_card["day"]) == (2, "0")


async def test_every_fault_is_told_and_nothing_is_allowed_by_half(server, browser) -> None:
    faulty = {"provider": "cash", "threshold_planck": "0", "day_max": 1, "month_max": 0}
    status, problem = await browser.ask("PUT", "me/auto-top-up", faulty)
    assert status == 422
    text = problem["detail"]
    assert all(name in text for name in ("provider: 'cash'", "threshold_planck", "month_max"))
    status, problem = await browser.ask("PUT", "me/auto-top-up", {**WANTED, "day_max": 999})
    assert (status, problem["detail"]) == (
        422,
        "day_max: 9.99 EUR is below one payment of 10 EUR; raise it",
    )
    assert (await shown(browser))["state"] == "off"
    assert (await browser.ask("DELETE", "me/auto-top-up"))[0] == 200
    await server.api("PUT", "me/auto-top-up", WANTED, 403)
