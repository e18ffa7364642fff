"""On a chain a stream is shared as it was made: written to the pallet's table, and paid by it."""

from uuid import UUID

import pytest

from metering.chain.node import storage
from metering.units import parse_account
from tests.integration.test_control_on_chain import Chain
from tests.integration.test_onchain_api import on_chain
from tests.integration.test_wallet_payer import by_wallet, with_pages

ADDRESS = "0x" + "5a" * 32


@pytest.fixture
async def server(tmp_path):
    async with Chain(tmp_path, with_pages()) as made:
        yield made


async def test_the_pallet_has_the_table_and_what_it_cannot_hold_is_refused(server) -> None:
    """No call changes it; a payee whose key is here could take nothing out."""
    browser, _ = await by_wallet(server)
    held = await server.api("POST", "viewers", {"name": "ann"}, 201)
    refused = await server.api(
        "POST", "streams", {"slug": "cam", "payees": {held["account"]: 1}}, 422
    )
    made = await server.stream(payees={ADDRESS: 250_000})

    async def registered():
        found = (await server.api("GET", "streams/cam"))["chain"]
        return found if found["state"] == "registered" else None

    await server.until(registered)
    there = on_chain(server, UUID(made["id"]))
    changed = await server.api("PUT", "streams/cam/split", {"payees": {}}, 409)
    shown = await server.api("GET", "streams/cam/split")
    little = {"slug": "dog", "planck_per_s": "1", "payees": {ADDRESS: 500_000}}
    too_little = await server.api("POST", "streams", little, 422)

    fee = made["platform_fee_ppm"]
    assert there.splits[0].ppm == fee
    assert there.splits[1:] == (storage.Split(parse_account(ADDRESS), 250_000),)
    assert changed["title"] == "The chain keeps shares"
    assert "make another stream" in changed["detail"]
    assert "is this server's" in refused["detail"]
    assert shown["split"]["payees"] == [{"account": ADDRESS, "ppm": 250_000}]
    assert "too little to be shared so" in too_little["detail"]
    payouts = (await server.api("GET", "payouts"))["payouts"]
    [payee] = [item for item in payouts if item["role"] == "payee"]
    assert (payee["account"], payee["streams"]) == (ADDRESS, ["cam"])
    _, own = await browser.ask("GET", "me/earnings")
    assert (own["is_on_chain"], own["earnings"]) == (True, [])
