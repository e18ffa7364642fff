"""Taking money out over the API: from the store first, to the payments it came from, once."""

import asyncio
from typing import Any

import pytest

from metering.units import Verdict
from tests.integration.test_payments_api import KEY, hook
from tests.integration.test_refunds_api import SECOND, bought, browser, fake, server
from tests.support.control_server import Server
from tests.support.payments_fixture import PLANCK
from tests.support.people_browser import JSON, Browser

__all__ = ("browser", "fake", "server")  # fixtures


@pytest.fixture
async def order(server: Server, browser: Browser, fake: Any) -> Any:
    """Ten euros, paid at Stripe."""
    made = await bought(server, browser, "stripe")
    for event in fake.events_of_payment("cs_test_1"):
        await hook(server, event, provider="stripe")
    await server.balance(made, 1000 * PLANCK)
    return made


async def withdraw(browser: Browser, amount: int, key: str = "w1") -> tuple[int, Any]:
    headers = {**JSON, "Idempotency-Key": key}
    return await browser.ask("POST", "me/withdrawals", {"amount": amount}, headers)


async def test_what_was_not_watched_goes_back_to_the_card(server, browser, fake, order) -> None:
    stream = await server.stream(planck_per_s=str(SECOND))
    minted = await server.api("POST", "tokens", {"viewer": order["account"], "stream": "cam"}, 201)
    first = server.now_s() - 60
    seen = await server.claim(minted, order, stream, first, 4, SECOND)
    assert seen.verdict is Verdict.GRANTED

    status, refused = await withdraw(browser, 601)
    assert (status, refused["balance"]) == (409, str(600 * PLANCK))
    status, made = await withdraw(browser, 600, "w2")
    assert (status, made["state"], made["planck"]) == (201, "done", str(600 * PLANCK))
    assert await withdraw(browser, 600, "w2") == (200, made)

    assert [item["amount"] for item in fake.refunds.values()] == [600]
    await server.balance(order, 0)
    seen = await server.claim(minted, order, stream, first + 4, 1, SECOND)
    assert seen.verdict is Verdict.PURSE
    _, listed = await browser.ask("GET", "me/withdrawals")
    assert listed["withdrawals"] == [made]
    assert (listed["amount_max"], listed["currency"]) == ("400", "EUR")
    report = await server.api("GET", "reconcile")
    assert report["is_balanced"], report
    entries = (await server.api("GET", "audit"))["entries"]
    assert [entry["action"] for entry in entries].count("withdrawal.make") == 1


async def test_what_was_given_stays(server, browser, order) -> None:
    """The demo's credit can be watched, and is in no withdrawal; a gift neither."""
    await browser.ask("POST", "me/top-ups", {"provider": "demo"}, {**KEY, "Idempotency-Key": "k2"})
    at, gift = f"viewers/{order['account']}/credits", {"planck": str(500 * PLANCK)}
    await server.api("POST", at, gift, 201, Idempotency_Key="gift")

    status, problem = await withdraw(browser, 1001)
    assert (status, "is not in 1 to 1000" in problem["detail"]) == (422, True)
    assert (await withdraw(browser, 1000))[0] == 201
    await server.balance(order, 500 * PLANCK + 500)


async def test_what_stripe_refuses_is_there_again(server, browser, fake, order) -> None:
    fake.refuses = "This charge is too old."
    status, made = await withdraw(browser, 300)
    assert (status, made["state"]) == (201, "refused")
    await server.balance(order, 1000 * PLANCK)
    assert (await server.api("GET", "reconcile"))["is_balanced"]


async def test_while_stripe_is_away_it_is_on_its_way_and_asked_again(
    server, browser, fake, order
) -> None:
    fake.is_away = True
    status, made = await withdraw(browser, 300)
    assert (status, made["state"]) == (201, "asked")
    await server.balance(order, 700 * PLANCK)
    fake.is_away = False

    # As who died before it could ask.
    await server.stop_control()
    await server.start_control()
    await server.until_ready()

    async with asyncio.timeout(10):
        while True:
            _, listed = await browser.ask("GET", "me/withdrawals")
            if listed["withdrawals"][0]["state"] == "done":
                break
            await asyncio.sleep(0.02)
    assert [item["amount"] for item in fake.refunds.values()] == [300]
    await server.balance(order, 700 * PLANCK)


async def test_the_same_at_once_is_one(server, browser, fake, order) -> None:
    answers = await asyncio.gather(*(withdraw(browser, 200) for _ in range(4)))
    assert {status for status, _ in answers} <= {200, 201}
    assert len({made["withdrawal"] for _, made in answers}) == 1
    assert len(fake.refunds) == 1
    await server.balance(order, 800 * PLANCK)
    assert (await withdraw(browser, 201))[0] == 409


async def test_while_redis_is_away_nothing_leaves(server, browser, fake, order) -> None:
    await server.redis.stop()
    assert (await withdraw(browser, 200))[0] == 503
    await server.redis.start()
    await server.balance(order, 1000 * PLANCK)
    assert fake.refunds == {}
    assert (await browser.ask("GET", "me/withdrawals"))[1]["withdrawals"] == []


async def test_no_key_of_a_program_and_no_stranger_takes_money_out(server, order) -> None:
    """Only its owner does, with a way in that was shown within five minutes."""
    await server.api("POST", "me/withdrawals", {"amount": 1}, 403, Idempotency_Key="w")
    bob = Browser(server)
    await bob.sign_up("Bob")
    status, problem = await withdraw(bob, 1)
    assert (status, "is not in 1 to 0" in problem["detail"]) == (422, True)
    assert (await bob.ask("POST", "me/withdrawals", {"amount": 1}))[0] == 400
    await server.balance(order, 1000 * PLANCK)
