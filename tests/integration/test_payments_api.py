"""Paying in over the API: ordered by a person, paid by a signed webhook, counted by the store."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.support.control_server import Server, settings
from tests.support.payments_fixture import PLANCK, SECRET, signed
from tests.support.people_browser import JSON, ORIGIN, Browser
from tests.support.servers import stripe

KEY = {**JSON, "Idempotency-Key": "k1"}


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
            webhook_pay_url="https://pay.example.org/{order}/{amount}?back={back}",
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


async def hook(
    server: Server, body: Any, event: str = "msg_1", provider: str = "webhook", **changed: str
) -> tuple[int, Any, Mapping[str, str]]:
    """Send a webhook as the operator's own payment system does; return what is answered."""
    raw, headers = stripe.signed(body) if provider == "stripe" else signed(body, event)
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(server.run_dir / "control.sock"))
        ) as http,
        http.post(
            f"http://c/hooks/payments/{provider}", data=raw, headers={**headers, **changed}
        ) as answer,
    ):
        return answer.status, json.loads(await answer.text()), answer.headers


def paid(order: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    return {
        "order": order["order"],
        "payment": "pay_1",
        "status": "paid",
        "amount": int(order["amount"]),
        "currency": order["currency"],
        **changed,
    }


async def test_a_newcomer_orders_pays_and_has_the_balance(server, browser) -> None:
    """Nobody at a shell; the account comes with the first order."""
    wanted = {"provider": "webhook", "amount": 1000, "stream": "cam"}
    status, order = await browser.ask("POST", "me/top-ups", wanted, KEY)
    assert (status, order["state"], order["planck"]) == (201, "open", str(1000 * PLANCK))
    assert order["pay_url"] == (
        f"https://pay.example.org/{order['order']}/1000?back=http%3A%2F%2Flocalhost%3A8080%2Fcam%2F"
    )
    assert (await browser.ask("POST", "me/top-ups", wanted, KEY)) == (200, order)
    assert (await browser.ask("GET", "me"))[1]["balance"] == "0"

    status, answered, headers = await hook(server, paid(order))
    assert (status, answered["outcome"]) == (200, "booked")
    assert "Access-Control-Allow-Origin" not in headers
    assert "Set-Cookie" not in headers
    for event in ("msg_1", "msg_2"):
        assert (await hook(server, paid(order), event))[0] == 200

    assert (await browser.ask("GET", "me"))[1]["balance"] == str(1000 * PLANCK)
    await server.balance(order, 1000 * PLANCK)
    _, listed = await browser.ask("GET", "me/top-ups")
    assert [(item["state"], item["payment"]) for item in listed["top_ups"]] == [("paid", "pay_1")]
    assert listed["providers"] == ["demo", "stripe", "webhook"]
    report = await server.api("GET", "reconcile")
    assert report["is_balanced"], report
    assert report["payments"] == {
        "paid": 1,
        "planck": str(1000 * PLANCK),
        "back": "0",
        "losses": [],
    }
    await hook(server, paid(order, payment="pay_2"), "msg_3")
    report = await server.api("GET", "reconcile")
    assert not report["is_balanced"]
    assert report["differences"] == [
        "webhook was paid 1000 EUR by payment pay_2, and the book has not: paid-twice, notice 3"
    ]


async def test_who_pays_at_stripe_is_credited_once_by_whichever_event_comes(
    server, browser, fake
) -> None:
    wanted = {"provider": "stripe", "amount": 1000}
    fake.is_away = True
    assert (await browser.ask("POST", "me/top-ups", wanted, KEY))[0] == 503
    fake.is_away = False
    status, order = await browser.ask("POST", "me/top-ups", wanted, KEY)
    assert (status, order["pay_url"]) == (200, f"{fake.url}/pay/cs_test_1")
    assert (await browser.ask("POST", "me/top-ups", wanted, KEY)) == (200, order)
    assert len(fake.sessions) == 1

    outcomes = []
    completed, paid_intent = fake.events_of_payment("cs_test_1")
    for event in (paid_intent, completed, {**paid_intent, "pending_webhooks": 0}):
        status, answered, _ = await hook(server, event, provider="stripe")
        assert status == 200
        outcomes.append(answered["outcome"])
    live = {**completed, "id": "evt_live", "livemode": True}
    outcomes.append((await hook(server, live, provider="stripe"))[1]["outcome"])

    assert outcomes == ["booked", "repeated", "booked", "test-mode"]
    await server.balance(order, 1000 * PLANCK)
    shown = await server.api("GET", f"payments/{order['order']}")
    assert (shown["payment"], len(shown["notices"])) == ("pi_1", 3)


async def test_staff_sees_orders_and_what_was_told(server, browser) -> None:
    _, order = await browser.ask("POST", "me/top-ups", {"provider": "webhook", "amount": 700}, KEY)
    await hook(server, paid(order, amount=1), "msg_1")
    await hook(server, paid(order, status="refunded"), "msg_2")

    shown = await server.api("GET", f"payments/{order['order']}")
    assert shown["person"] == browser.person
    assert "pay_url" not in shown
    assert [(item["outcome"], item["status"]) for item in shown["notices"]] == [
        ("wrong-amount", "paid"),
        ("kept", "refunded"),
    ]
    found = await server.api("GET", "payments/notices?outcome=wrong-amount&limit=1")
    assert [item["detail"] for item in found["notices"]] == [
        "1 was paid, and it is an order of 700, in the minor unit of EUR"
    ]
    assert found["next_before"] is None
    first = await server.api("GET", "payments/notices?limit=1")
    rest = await server.api("GET", f"payments/notices?limit=1&before={first['next_before']}")
    assert [item["number"] for item in first["notices"] + rest["notices"]] == [2, 1]
    assert len((await server.api("GET", "payments?state=open"))["payments"]) == 1
    assert (await server.api("GET", "payments?state=paid"))["payments"] == []
    await server.api("GET", "payments?state=done", status=422)
    await server.api("GET", "payments/notices?outcome=done", status=422)
    await server.api("GET", "payments/notices?limit=201", status=422)
    await server.api("GET", f"payments/{'0' * 32}", status=404)
    await server.api("GET", "payments/notices/99", status=404)
    async with server.http.get("http://c/api/v1/payments/notices/1") as answer:
        assert json.loads(await answer.read())["amount"] == 1


async def test_who_does_not_sign_changes_nothing(server, browser) -> None:
    _, order = await browser.ask("POST", "me/top-ups", {"provider": "webhook", "amount": 700}, KEY)
    status, answered, headers = await hook(server, paid(order), **{"webhook-signature": "v1,AAAA"})
    assert (status, headers["X-Vilokanam-Wrong"]) == (401, "payment webhook")
    assert "payments.webhook_secret_file" in answered["detail"]
    assert (await hook(server, paid(order), provider="demo"))[0] == 401
    assert (await hook(server, paid(order), provider="paypal"))[0] == 404

    assert (await server.api("GET", "payments/notices"))["notices"] == []
    assert (await browser.ask("GET", "me"))[1]["balance"] == "0"


async def test_what_cannot_be_read_is_answered_and_kept(server, browser) -> None:
    """Corrected and sent again by the same id it is a notice like any other."""
    status, answered, _ = await hook(server, {"order": "", "status": "x"})
    assert status == 422
    assert len(answered["faults"]) >= 3
    assert (await hook(server, {"order": "", "status": "x"}))[0] == 422

    kept = (await server.api("GET", "payments/notices"))["notices"]
    assert [item["outcome"] for item in kept] == ["unreadable"]

    _, order = await browser.ask("POST", "me/top-ups", {"provider": "webhook", "amount": 700}, KEY)
    assert (await hook(server, paid(order)))[1]["outcome"] == "booked"


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ({"provider": "webhook", "amount": 499}, KEY, 422, "499 is not in 500 to 20000"),
        ({"provider": "webhook", "amount": 20001}, KEY, 422, "20001 is not in"),
        ({"provider": "webhook"}, KEY, 422, "None is not in"),
        ({"provider": "paypal", "amount": 500}, KEY, 404, "providers are: demo, stripe, webhook"),
        ({"provider": "demo", "amount": 1}, KEY, 422, "leave it out"),
        ({"provider": "webhook", "amount": 500, "stream": "//evil"}, KEY, 422, "public name"),
        ({"provider": "webhook", "amount": 500}, JSON, 400, "Idempotency-Key"),
        ({"amount": "5"}, KEY, 422, "provider: is missing"),
    ],
)
async def test_an_order_that_cannot_be_is_refused_in_words(
    browser, body, headers, status, words
) -> None:
    answered = await browser.ask("POST", "me/top-ups", body, headers)
    assert answered[0] == status, answered
    assert words in answered[1]["detail"]


async def test_the_demos_button_is_a_provider(server, browser) -> None:
    status, order = await browser.ask("POST", "me/top-ups", {"provider": "demo"}, KEY)
    assert (status, order["state"], order["planck"], order["currency"]) == (
        *(201, "paid"),
        *("500", "UNIT"),
    )
    await server.balance(order, 500)
    again = await browser.ask("POST", "me/top-ups", {"provider": "demo"}, KEY)
    assert again == (200, order)
    await server.balance(order, 500)


async def test_orders_of_one_key_at_once_are_one(browser) -> None:
    wanted = {"provider": "webhook", "amount": 900}
    answers = await asyncio.gather(
        *(browser.ask("POST", "me/top-ups", wanted, KEY) for _ in range(5))
    )
    assert len({answered["order"] for _, answered in answers}) == 1
    assert (await browser.ask("POST", "me/top-ups", {**wanted, "amount": 901}, KEY))[0] == 409


async def test_keys_of_providers_payments_are_theirs(server) -> None:
    await server.viewer()
    problem = await server.api(
        "POST", "viewers/ann/credits", {"planck": "1"}, 422, Idempotency_Key="payment:webhook:pay_1"
    )
    assert "payment:" in problem["detail"]


async def test_what_was_paid_while_the_store_is_away_is_applied_later(server, browser) -> None:
    """The webhook is answered by the book; Redis learns of it when it is back."""
    _, order = await browser.ask("POST", "me/top-ups", {"provider": "webhook", "amount": 800}, KEY)
    await server.redis.stop()
    assert (await hook(server, paid(order)))[1]["outcome"] == "booked"
    await server.redis.start()
    await server.balance(order, 800 * PLANCK)
