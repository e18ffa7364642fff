"""What we ask of Stripe, and what our fake answers, held against Stripe's own published schema.

`stripe-mock` is Stripe's, made of its OpenAPI document; ``make tests/publishers/stripe-mock``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import stripe

from mediaserver.payments.provider import ChargeDeclinedError, ProviderAwayError
from mediaserver.payments.settings import PaymentsSettings
from mediaserver.payments.stripe_checkout import StripeCheckout
from metering.units import AccountId
from tests.support.payments_fixture import a_refund, an_order
from tests.support.servers.stripe import KEY, SECRET, FakeStripe

PROGRAM = Path(__file__).resolve().parents[1] / "publishers/stripe-mock"
BACK = "https://live.example.org/cam/"

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason="it is missing: make tests/publishers/stripe-mock"
)


@pytest.fixture
async def schema(unused_tcp_port_factory) -> AsyncIterator[str]:
    port = unused_tcp_port_factory()
    process = await asyncio.create_subprocess_exec(
        *(str(PROGRAM), "-http-port", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(60), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(url):
                        break
                await asyncio.sleep(0.05)
        yield url
    finally:
        process.terminate()
        await process.wait()


async def test_the_schema_takes_our_request(schema) -> None:
    made = StripeCheckout(PaymentsSettings(stripe_url=schema), KEY, SECRET)
    order = replace(an_order(AccountId(b"\x01" * 32)), provider="stripe")

    assert (await made.checkout(order, BACK)).startswith("https://")
    assert (await made.checkout(replace(order, id="ab" * 16), BACK, saves=True)).startswith(
        "https:"
    )
    with pytest.raises((ChargeDeclinedError, ProviderAwayError)):
        # Its example of a payment is none that is paid; the request was taken.
        await made.charge(order, "cus_1:pm_1", 0, is_late=False)
    refund = await made.give_back(replace(order, payment="pi_1"), a_refund())
    assert refund is not None
    assert refund.startswith("re_")
    with pytest.raises(ProviderAwayError, match="InvalidRequestError"):
        await made.checkout(replace(order, amount=cast(Any, "ten")), BACK)
    await made.close()


async def test_the_fake_answers_with_fields_of_the_schema(schema) -> None:
    """Each field that the fake has, but for what it remembers for itself, is one of Stripe's."""
    http = stripe.AIOHTTPClient()
    client = stripe.StripeClient(KEY, base_addresses={"api": schema}, http_client=http)
    example = await client.v1.checkout.sessions.create_async(
        {"mode": "payment", "success_url": BACK}
    )
    intent = await client.v1.payment_intents.retrieve_async("pi_1")
    async with FakeStripe() as fake:
        made = StripeCheckout(PaymentsSettings(stripe_url=fake.url), KEY, SECRET)
        await made.checkout(replace(an_order(AccountId(b"\x01" * 32)), provider="stripe"), BACK)
        await made.close()
        events = fake.events_of_payment("cs_test_1")
    await http.close_async()

    of_session, of_intent = (item["data"]["object"] for item in events)
    assert set(of_session) <= set(example.to_dict())
    assert set(of_intent) <= set(intent.to_dict())
