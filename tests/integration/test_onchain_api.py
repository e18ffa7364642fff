"""The operator's commands on a chain: control, the settler's services and the fake node."""

from uuid import UUID

import pytest

from metering.chain import storage
from metering.chain.fake.state import State
from tests.fakes.wallet import account
from tests.integration.test_control_api import PRICE, settings
from tests.integration.test_control_on_chain import Chain

pytestmark = pytest.mark.timeout(90)
WALLET = f"0x{account('wallet').account.hex()}"


def on_chain(server, stream):
    """Return a stream as the best block has it."""
    key = storage.stream_key(stream)
    return State(server.world.forks.head.values).get(key)


async def test_streams_and_prices_follow_with_the_numbers_of_the_book(tmp_path):
    """Made while the chain is there, or before: it is registered by itself, fees included."""
    async with Chain(tmp_path, settings()) as server:
        made = await server.api("POST", "streams", {"slug": "own", "planck_per_s": str(PRICE)}, 201)

        async def registered(price):
            found = (await server.api("GET", "streams/own"))["chain"]
            return found if found["state"] == "registered" and found["price"] == price else None

        await server.until(lambda: registered(1))
        await server.api("POST", "streams/own/prices", {"planck_per_s": str(PRICE * 2)}, 201)
        shown = await server.until(lambda: registered(2))
        again = await server.api("POST", "streams/own/chain", {})

        there = on_chain(server, _uuid(made))
    assert [(one.number, one.price) for one in there.prices] == [(1, PRICE), (2, PRICE * 2)]
    assert there.splits[0].account == server.operator.account
    assert f"0x{there.creator.hex()}" == made["creator"]
    assert shown["stream_id"] == str(_uuid(made).int)
    assert again == {"slug": "own", **shown}


async def test_a_creator_with_a_wallet_gets_call_data_and_nothing_is_forged(tmp_path):
    """What only they can sign is shown, and stays undone."""
    async with Chain(tmp_path, settings()) as server:
        body = {"slug": "wal", "planck_per_s": str(PRICE), "creator": WALLET}
        made = await server.api("POST", "streams", body, 201)
        told = await server.api("POST", "streams/wal/chain", {})
        there = on_chain(server, _uuid(made))

    assert told["state"] == "unsigned"
    assert WALLET in told["reason"]
    assert bytes.fromhex(told["call"][2:])[2:18] == _uuid(made).int.to_bytes(16, "little")
    assert there is None


async def test_the_operator_sees_the_chain_and_registers_once(tmp_path):
    """Registered before, nothing happens; the status says what stands on the chain."""
    async with Chain(tmp_path, settings()) as server:

        async def ready():
            status = await server.api("GET", "chain")
            return status if status["operator"]["is_registered"] else None

        status = await server.until(ready)
        again = await server.api("POST", "chain/operator", {})
        payouts = (await server.api("GET", "payouts"))["payouts"]

    assert status["operator"]["account"] == f"0x{server.operator.account.hex()}"
    assert status["operator"]["is_active"] is True
    assert int(status["operator"]["bond"]) == 100 * 10**12
    assert status["spec"] == "vilokanam 100"
    assert again["is_new"] is False
    assert [(one["role"], one["available"]) for one in payouts] == [("platform", "0")]


def _uuid(stream):
    return UUID(stream["id"])
