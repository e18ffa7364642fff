"""The operator's commands on a chain: control, the settler's services and the fake node."""

import time
from uuid import UUID

import pytest

from metering.chain.node import storage
from metering.testing.fake_node.state import State
from metering.units import parse_account
from tests.integration.test_control_on_chain import Chain, claim, claims_of
from tests.support.control_server import PRICE, settings
from tests.support.wallet import account

pytestmark = pytest.mark.timeout(90)
CREDIT_NOTICE_S = 600
FEE_MAX = 10**10
"""A call costs a planck for each ps of weight and each byte: some thousandths of a UNIT."""
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
        unsigned = await server.api("POST", "streams/wal/chain", {})
        there = on_chain(server, _uuid(made))

    assert unsigned["state"] == "unsigned"
    assert WALLET in unsigned["reason"]
    assert bytes.fromhex(unsigned["call"][2:])[2:18] == _uuid(made).int.to_bytes(16, "little")
    assert there is None


async def test_the_operator_sees_the_chain_and_registers_once(tmp_path):
    """Registered before, nothing happens; the status says what is on the chain."""
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


async def test_earnings_are_taken_when_their_notice_is_over(tmp_path):
    """Creator and platform get what was billed, to the planck; before, they are told when."""
    async with Chain(tmp_path, settings()) as server:
        stream, _ = await _watched(server, 20)
        creator, operator = parse_account(stream["creator"]), server.operator.account

        early = await server.api("POST", "payouts", {"stream": "cam"}, 422)
        server.world.travel(_now_ms(server) + 2 * CREDIT_NOTICE_S * 1000)
        due = await server.until(lambda: _available(server))
        before = {who: _free(server, who) for who in (creator, operator)}
        taken = await server.api("POST", "payouts", {"stream": "cam"}, 201)
        platform = await server.api("POST", "payouts", {}, 201)
        got = {who: _free(server, who) - before[who] for who in before}
        report = await server.api("GET", "reconcile")

    fee = 20 * PRICE // 10
    assert "may take nothing yet" in early["detail"]
    assert due == {"creator": 20 * PRICE - fee, "platform": fee}
    assert (int(taken["planck"]), int(platform["planck"])) == (20 * PRICE - fee, fee)
    # Less what the two calls cost in fees.
    assert 0 < int(taken["planck"]) - got[creator] < FEE_MAX
    assert 0 < int(platform["planck"]) - got[operator] < FEE_MAX
    assert report["is_balanced"], report["differences"]


async def test_a_viewer_gets_escrow_back_without_losing_what_they_owe(tmp_path):
    """Asked back it buys nothing at once; after the notice it is theirs; the books agree."""
    async with Chain(tmp_path, settings()) as server:
        _, ann = await _watched(server, 20)
        who = parse_account(ann["account"])

        asked = await server.api(
            "POST", "viewers/ann/escrow/request", {"planck": str(100 * PRICE)}, 200
        )
        early = await server.api("POST", "viewers/ann/escrow/withdraw", {}, 409)
        server.world.travel(int(asked["ready_at"]) * 1000)
        before = _free(server, who)
        taken = await server.api("POST", "viewers/ann/escrow/withdraw", {}, 200)
        got = _free(server, who) - before

        async def is_told():
            shown = await server.shown("ann")
            return shown["withdrawn"] != "0" and shown

        shown = await server.until(is_told)
        report = await server.api("GET", "reconcile")

    assert "TickStream." in early["detail"]
    assert asked["asked_back"] == str(100 * PRICE)
    assert (int(taken["held"]), taken["asked_back"]) == (180 * PRICE, None)
    assert 0 < 100 * PRICE - got < FEE_MAX
    assert int(shown["balance"]) == 180 * PRICE
    assert report["is_balanced"], report["differences"]


async def _watched(server, seconds):
    """Return a stream and a viewer who paid in 300 seconds and watched some, all of it final."""
    stream = await server.stream()
    await server.registered(stream)
    ann = await server.viewer(planck=str(300 * PRICE))
    made = await server.mint()
    async with claims_of(server) as claims:
        first = int(time.time()) - 200
        await claims.claim(claim(ann["account"], stream, made["session"], first, seconds))

    async def is_final():
        totals = (await server.api("GET", "reconcile"))["totals"]
        return totals["settled"] == str(seconds)

    await server.until(is_final)
    return stream, ann


async def _available(server):
    found = (await server.api("GET", "payouts"))["payouts"]
    due = {one["role"]: int(one["available"]) for one in found}
    return due if all(due.values()) else None


def _free(server, who):
    return State(server.world.forks.head.values).get(storage.account_key(who)).free


def _now_ms(server):
    return server.world.forks.head.values[storage.now_key()]
