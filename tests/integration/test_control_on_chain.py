"""Control with a chain: real Redis, real book, the settler's services, and the fake node."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from argparse import Namespace
from dataclasses import replace
from uuid import UUID

import pytest

from mediaserver.processes import secret_files, settler
from mediaserver.processes.bootstrap import Start
from metering import key_file
from metering.chain.node import storage
from metering.ports import Claim
from metering.store.claim_client import RawClaims
from metering.testing.fake_node.node import FakeNode
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.state import State
from metering.testing.fake_node.world import World
from metering.units import PricedRun, Run, SessionId, Units, Verdict, parse_account
from tests.support.control_server import PRICE, Server, settings
from tests.support.servers import chopsticks
from tests.support.wallet import Signer, account, of_stream

WALLET = account("wallet")


class Chain(Server):
    """The server of control_server on a chain of its own."""

    def __init__(self, data_dir, tree):
        secret_files.make_missing(tree, data_dir)
        self.operator = key_file.read_or_make(secret_files.paths(tree, data_dir).operator_key)
        people = [self.operator, WALLET]
        funds = {one.account: 1000 * UNIT for one in people}
        self.world = World(7, now_ms=int(time.time() * 1000), funds=funds)
        self.node = FakeNode(self.world, chopsticks.metadata_bytes(), block_ms=100)
        self.nonces = {}
        super().__init__(data_dir, tree)

    async def __aenter__(self):
        await self.node.__aenter__()
        chain = replace(self.tree.chain, backend="substrate", url=self.node.url)
        self.tree = replace(self.tree, chain=chain)
        self.run_dir.mkdir(exist_ok=True)
        self.settler_stop = asyncio.Event()
        start = Start(self.tree, None, self.data_dir, Namespace())
        self.settler = asyncio.create_task(settler.serve(start, self.settler_stop))
        self.submit(self.operator, "register_operator")
        return await super().__aenter__()

    async def __aexit__(self, *_):
        await super().__aexit__(*_)
        self.settler_stop.set()
        await self.settler
        await self.node.__aexit__(*_)

    def submit(self, who, name, **arguments):
        """Hand a call to the node's pool, signed by a wallet or the operator."""
        forks = self.world.forks
        genesis = forks.hash_at(0)
        assert genesis is not None
        signer = Signer(genesis, forks.finalized, forks.finalized_hash)
        used = State(forks.head.values).get(storage.account_key(who.account)).nonce
        nonce = max(self.nonces.get(who.account, 0), used)
        self.nonces[who.account] = nonce + 1
        self.world.submit(signer.sign(who, nonce, of_stream(name, **arguments)))

    async def registered(self, stream):
        """Wait until control has put a stream of the book on the chain."""
        key = storage.stream_key(UUID(stream["id"]))

        async def is_there():
            return key in self.world.forks.head.values

        await self.until(is_there)

    async def until(self, condition):
        """Wait until an async condition holds; return what it returned."""
        async with asyncio.timeout(20):
            while True:
                if found := await condition():
                    return found
                await asyncio.sleep(0.05)

    async def shown(self, name):
        return await self.api("GET", f"viewers/{name}")


@contextlib.asynccontextmanager
async def claims_of(server, old=""):
    policy = await server.policy(lambda one: one.store_epoch not in ("", old))
    async with RawClaims(f"unix://{server.run_dir / 'redis.sock'}") as claims:
        claims.set_expected(policy.store_epoch, policy.store_run_id)
        async with asyncio.timeout(10):
            await claims.wait_ready()
        server.epoch = policy.store_epoch
        yield claims


def claim(who, stream, session, first, count=1):
    runs = (PricedRun(Run(first, count), 1, Units(PRICE)),)
    number = SessionId(int(session, 16))
    return Claim(parse_account(who), UUID(stream["id"]).bytes, number, runs, 0, 0)


@pytest.fixture
async def server(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("c")
    async with Chain(data_dir, settings()) as made:
        yield made


async def test_a_viewer_without_a_wallet_pays_in_joins_and_watches(server):
    """Top-up goes into escrow on the chain, the token joins for them, the books agree."""
    stream = await server.stream()
    await server.registered(stream)
    ann = await server.viewer(planck=str(300 * PRICE))
    again = await server.api(
        "POST",
        "viewers/ann/credits",
        {"planck": str(300 * PRICE)},
        200,
        Idempotency_Key="ann 1",
    )
    made = await server.mint()
    now = int(time.time())
    async with claims_of(server) as claims:
        granted = await claims.claim(claim(ann["account"], stream, made["session"], now - 200, 20))
        # Below 120 + 1.1 a second a join gets no more at once, however it is asked.
        too_fast = await claims.claim(
            claim(ann["account"], stream, made["session"], now - 5000, 1000)
        )

    assert not again["is_new"]
    assert int(again["deposited"]) == 300 * PRICE
    assert (granted.verdict, granted.balance_units) == (Verdict.GRANTED, 280 * PRICE)
    assert too_fast.verdict is Verdict.PACE
    escrow = server.world.forks.head.values[
        storage.escrow_key(server.operator.account, parse_account(ann["account"]))
    ]
    assert escrow.held <= 300 * PRICE

    async def settled():
        report = await server.api("GET", "reconcile")
        return report["totals"]["settled"] == "20" and report

    report = await server.until(settled)
    assert report["differences"] == []
    assert report["is_balanced"]
    assert report["is_chain_read"]


async def test_a_memo_that_a_chain_cannot_keep_is_refused(server):
    """Nobody believes that their note is kept where the chain's event is all there is."""
    body = {"planck": "5", "memo": "card 4711"}

    await server.api("POST", "viewers", {"name": "ann"}, 201)
    answer = await server.api("POST", "viewers/ann/credits", body, 422, Idempotency_Key="1")

    assert "memo: with a chain" in answer["detail"]
    assert (await server.shown("ann"))["deposited"] == "0"


async def test_a_first_frame_does_not_wait_for_finality(server):
    """Finality stalls: a token comes all the same, two asked at once make one join."""
    stream = await server.stream()
    await server.registered(stream)
    ann = await server.viewer(planck=str(300 * PRICE))
    who = parse_account(ann["account"])
    server.world.stall()
    stalled = server.world.forks.finalized

    first, second = await asyncio.gather(server.mint(), server.mint())
    now = int(time.time())
    async with claims_of(server) as claims:
        answer = await claims.claim(claim(ann["account"], stream, first["session"], now - 200))

    assert server.world.forks.finalized == stalled
    # What is made for a viewer is made in order: after this, nothing of before is still to come.
    server.world.stall(0)
    await server.api(
        "POST", "viewers/ann/credits", {"planck": str(PRICE)}, 201, Idempotency_Key="2"
    )
    assert answer.verdict is Verdict.GRANTED
    assert first["session"] != second["session"]
    key = storage.last_join_key(UUID(stream["id"]), who)
    assert server.world.forks.head.values[key] == 1


async def test_a_wallet_is_told_what_it_lacks_step_by_step(server):
    """402 without escrow, 403 without a join, 402 with caps below the price, then a token."""
    stream = await server.stream()
    await server.registered(stream)
    name = {"name": "wal", "account": "0x" + WALLET.account.hex()}
    await server.api("POST", "viewers", name, 201)
    wanted = {"viewer": "wal", "stream": "cam"}

    nothing = await server.api("POST", "tokens", wanted, 402)
    credit = await server.api(
        "POST", "viewers/wal/credits", {"planck": "5"}, 409, Idempotency_Key="x"
    )
    server.submit(WALLET, "deposit", operator=server.operator.account, amount=50 * PRICE)
    await server.until(lambda: _deposited(server, "wal", 50 * PRICE))
    no_join = await server.api("POST", "tokens", wanted, 403)
    _join(server, stream, PRICE - 1)

    async def is_low():
        answer = await server.http.post("http://c/api/v1/tokens", json=wanted)
        return answer.status == 402 and await answer.json()

    low = await server.until(is_low)
    _join(server, stream, PRICE)
    made = await server.until(lambda: _minted(server, wanted))

    assert nothing["missing"] == ["escrow", "join"]
    assert nothing["operator"] == "0x" + server.operator.account.hex()
    assert nothing["chain_stream"] == str(UUID(stream["id"]).int)
    assert "operator" in credit
    assert no_join["missing"] == ["join"]
    assert low["missing"] == ["price"]
    assert "join again" in low["detail"]

    async with claims_of(server) as claims:
        who, now = name["account"], int(time.time())
        first = await claims.claim(claim(who, stream, made["session"], now - 100, 10))
        server.submit(
            WALLET, "request_withdraw", operator=server.operator.account, amount=45 * PRICE
        )

        meter_key = (parse_account(who), UUID(stream["id"]).bytes, int(made["session"], 16))

        async def is_frozen():
            [reading] = await claims.meters([meter_key])
            return reading.balance_units < 0

        await server.until(is_frozen)
        frozen = await claims.claim(claim(who, stream, made["session"], now - 80))
        server.submit(WALLET, "request_withdraw", operator=server.operator.account, amount=0)

        async def is_free():
            answer = await claims.claim(claim(who, stream, made["session"], now - 50))
            return answer.verdict is Verdict.GRANTED

        await server.until(is_free)
        server.submit(WALLET, "leave_stream", stream_id=UUID(stream["id"]).int)

        async def is_over():
            answer = await claims.claim(claim(who, stream, made["session"], now - 40))
            return answer.verdict is Verdict.SESSION

        await server.until(is_over)

    assert first.verdict is Verdict.GRANTED
    assert (frozen.verdict, frozen.balance_units) == (Verdict.PURSE, -5 * PRICE)
    left = await server.api("POST", "tokens", wanted, 403)
    assert left["missing"] == ["join"]


async def test_control_that_starts_again_knows_deposits_joins_and_what_is_spent(server):
    """Redis emptied, control restarted, the node going on: nothing twice, nothing lost."""
    stream = await server.stream()
    await server.registered(stream)
    ann = await server.viewer(planck=str(300 * PRICE))
    made = await server.mint()
    now = int(time.time())
    async with claims_of(server) as claims:
        await claims.claim(claim(ann["account"], stream, made["session"], now - 200, 20))

    async def is_booked():
        report = await server.api("GET", "reconcile")
        return report["totals"]["pending"] == "0" and report["totals"]["metered"] == "20"

    await server.until(is_booked)
    await server.stop_control()
    await server.redis.stop()
    for file in (server.data_dir / "redis").rglob("*.aof"):
        file.write_bytes(b"")
    await server.redis.start()
    await server.start_control()
    await server.until_ready()

    async with claims_of(server, old=server.epoch) as claims:
        old = await claims.claim(claim(ann["account"], stream, made["session"], now - 200, 20))
        new = await claims.claim(claim(ann["account"], stream, made["session"], now - 100))

    assert (old.verdict, old.new_ticks) == (Verdict.GRANTED, 0)
    assert (new.verdict, new.balance_units) == (Verdict.GRANTED, 279 * PRICE)


async def test_a_restored_book_takes_over_what_the_chain_has_and_the_balance_follows(server):
    """An older book under a chain and a Redis that went on: what it adopts is gone and shown."""
    stream = await server.stream()
    await server.registered(stream)
    ann = await server.viewer(planck=str(300 * PRICE))
    made = await server.mint()
    who, now = parse_account(ann["account"]), int(time.time())
    book, kept = server.data_dir / "book.sqlite3", server.data_dir / "kept.sqlite3"

    async def settled(metered, adopted):
        async def is_so():
            found = await server.api("GET", "reconcile")
            counts = {name: int(found["totals"][name]) for name in ("settled", "adopted")}
            return counts == {"settled": metered, "adopted": adopted} and found

        return await server.until(is_so)

    async with claims_of(server) as claims:
        await claims.claim(claim(ann["account"], stream, made["session"], now - 300, 20))
        await settled(20, 0)
        with (
            contextlib.closing(sqlite3.connect(book)) as source,
            contextlib.closing(sqlite3.connect(kept)) as copy,
        ):
            source.backup(copy)
        await claims.claim(claim(ann["account"], stream, made["session"], now - 250, 10))
        await settled(30, 0)
    await server.stop_control()
    for end in ("-wal", "-shm"):
        book.with_name(book.name + end).unlink(missing_ok=True)
    book.write_bytes(kept.read_bytes())
    await server.start_control()
    await server.until_ready()

    # Nobody watches: it is found out all the same.
    report = await settled(20, 10)
    async with claims_of(server, old=server.epoch) as claims:
        meter_key = (who, UUID(stream["id"]).bytes, int(made["session"], 16))

        async def is_lower():
            [reading] = await claims.meters([meter_key])
            return reading.balance_units == 270 * PRICE

        await server.until(is_lower)
        first = await claims.claim(claim(ann["account"], stream, made["session"], now - 200, 4))
        second = await claims.claim(claim(ann["account"], stream, made["session"], now - 150, 5))
        later = await settled(29, 10)
    shown = await server.shown("ann")
    key = storage.escrow_key(server.operator.account, who)

    assert (first.verdict, second.verdict) == (Verdict.GRANTED, Verdict.GRANTED)
    assert second.balance_units == 261 * PRICE
    for found in (report, later):
        assert found["differences"] == []
        assert found["is_balanced"]
        assert found["is_chain_read"]
        assert found["totals"]["adopted_planck"] == str(10 * PRICE)
        assert [row["adopted"] for row in found["rows"]] == [10]
    assert server.world.forks.head.values[key].held == 261 * PRICE
    assert int(shown["deposited"]) - int(shown["spent"]) == 261 * PRICE


def _join(server, stream, max_price):
    server.submit(
        WALLET,
        "join_with_caps",
        stream_id=UUID(stream["id"]).int,
        max_spend=UNIT,
        max_price=max_price,
        duration=86_400,
    )


async def _deposited(server, name, planck):
    return int((await server.shown(name))["deposited"]) == planck


async def _minted(server, wanted):
    answer = await server.http.post("http://c/api/v1/tokens", json=wanted)
    return answer.status == 201 and await answer.json()


async def test_a_chain_has_one_price_for_all_viewers_and_any_cap(server):
    """What the pallet cannot hold is refused in words; covered seconds are in no entry of it."""
    await server.stream()
    await server.api("POST", "viewers", {"name": "ann"}, 201)

    for planck in ("7", "0"):
        refused = await server.api(
            "PUT", "streams/cam/viewer-prices/ann", {"planck_per_s": planck}, 409
        )
        assert "its pallet keeps one price of a second for all" in refused["detail"]
    capped = await server.api("PATCH", "streams/cam", {"show_cap_planck": "500"}, 200)

    assert capped["show_cap_to_come"]["planck"] == "500"
