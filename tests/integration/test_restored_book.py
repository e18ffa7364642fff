"""An older book put back under a Redis that went on: nothing twice, what is forgiven is counted."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import pytest

from metering.book.book import Book
from metering.recovery.reconcile import reconcile
from metering.units import Asset, Planck, SessionId, Units, Verdict
from tests.support.book_fixture import PRICE, InlineBook
from tests.support.metering_kit import claim
from tests.support.restored_world import BEGIN, WINDOW_S, restored_world


@pytest.fixture
async def world(tmp_path, redis_folder):
    async with restored_world(tmp_path, redis_folder) as made:
        yield made


@pytest.mark.parametrize("is_other_redis", [False, True])
async def test_what_the_restored_book_has_lost_is_forgiven(world, is_other_redis):
    """Settled and forgotten since the backup: served again for nothing, counted, bounded."""
    await world.watch(0, BEGIN, 10)
    await world.settle()
    world.backup()
    world.fixture.clock.wall_ms = (BEGIN + 25) * 1000
    await world.watch(0, BEGIN + 10, 10)
    await world.settle()
    await world.watch(0, BEGIN + 20, 5)

    found = await world.restore(is_other_redis=is_other_redis)

    assert found.is_new
    (floor,) = [one for one in found.floors if one.lost_ticks]
    assert floor.lost_ticks == 10
    assert floor.forgiven.end == world.now + 1
    assert BEGIN - WINDOW_S - 20 <= floor.forgiven.first < BEGIN
    assert found.pending_ticks == 5
    assert await world.watch(0, BEGIN, 25) == set()
    assert (await world.store.totals()).forgiven_ticks == 10
    # Above the floor everything costs again.
    above = world.above
    assert await world.watch(0, above - 1, 3) == {above, above + 1}
    await world.settle()
    await world.assert_right()
    (restore,) = (await reconcile(InlineBook(world.fixture.book), world.store)).restores
    assert (restore.lost_ticks, restore.forgiven) == (10, floor.forgiven)
    assert world.fixture.book.unbilled.counters().forgiven_ticks == 11


async def test_what_redis_still_has_is_kept_and_viewers_of_other_shards_owe_nothing(world):
    """Cuts that are not final go back into the older book; who had no cut since has no floor."""
    await world.watch(0, BEGIN, 5)
    await world.watch(1, BEGIN, 5)
    await world.settle()
    world.backup()
    await world.watch(0, BEGIN + 5, 5)
    await world.cutter.round()
    await world.watch(0, BEGIN + 10, 1)
    await world.cutter.round()

    found = await world.restore()

    assert (len(found.floors), found.floors[0].lost_ticks, found.pending_ticks) == (1, 0, 6)
    assert world.lost == {0: set(), 1: set(), 2: set()}
    assert await world.watch(1, BEGIN, 7) == {BEGIN + 5, BEGIN + 6}
    await world.settle()
    await world.assert_right()


async def test_a_newer_backup_after_an_older_one_is_found_by_its_name(world):
    """No number betrays it: both books have one cut, with other seconds."""
    world.backup()
    await world.watch(0, BEGIN, 3)
    await world.settle()
    world.backup()
    (floor,) = (await world.restore(0)).floors
    assert floor.forgiven.end <= world.above
    assert await world.watch(0, world.above, 4) == set(range(world.above, world.above + 4))
    world.fixture.clock.wall_ms += 10_000
    await world.settle()

    (again,) = (await world.restore(1)).floors

    assert again.lost_ticks == 1  # four against three: as many as can be counted
    assert await world.watch(0, BEGIN, again.forgiven.end - BEGIN) == set()
    await world.assert_right()


async def test_what_is_forgiven_stays_so_when_redis_restarts_or_is_emptied(world):
    """The floor and the seconds are in the book: no rebuild bills them."""
    await world.watch(0, BEGIN, 5)
    world.backup()
    await world.settle()
    await world.restore()
    assert await world.watch(0, BEGIN, 3) == set()
    await world.cutter.round()

    for is_emptied in (False, True):
        await world.stop()
        if is_emptied:
            world.redis.call("FLUSHALL")
        else:
            world.redis.stop()
            world.redis.start()
        world.fixture.book = Book.open(world.url, Asset())
        world.fixture.clock.wall_ms += 1000
        found = await world.start()

        assert found.is_new
        assert found.floors == ()
        assert await world.watch(0, BEGIN, 5) == set()
        await world.settle()
        await world.assert_right()
    # Counted once each, though asked for three times.
    assert world.fixture.book.unbilled.counters().forgiven_ticks == 5


@pytest.mark.parametrize("harm", ["restarted", "emptied"])
async def test_unpaid_seconds_are_not_collected_after_a_rebuild(world, harm):
    """Rules 4: the viewer has topped up since, and the evidence comes again."""
    viewer, fixture = 2, world.fixture
    account, stream = fixture.accounts[viewer], fixture.stream.id.bytes
    await world.store.set_deposits(account, Units(3 * PRICE))
    late = claim(account, 1 + viewer, BEGIN, 10, stream=stream, units=PRICE)
    await world.claims.offer([late])
    world.billed[viewer] = set(range(BEGIN, BEGIN + 3))
    assert (await world.store.totals()).unpaid_ticks == 7
    await world.cutter.round()

    await world.stop()
    if harm == "emptied":
        world.redis.call("FLUSHALL")
    else:
        world.redis.stop()
        world.redis.start()
    fixture.book = Book.open(world.url, Asset())
    await world.start()
    await world.claims.offer([late, replace(late)])

    assert await world.watch(viewer, BEGIN, 10) == set()
    await world.cutter.round()
    await world.assert_right()
    assert fixture.book.unbilled.counters().unpaid_ticks == 7


async def test_evidence_for_a_session_that_ended_just_before_is_billed(world):
    """Its seconds were lost with Redis; the HTTP processes still have them."""
    fixture = world.fixture
    fixture.clock.wall_ms = int(time.time() * 1000)
    account, stream = fixture.accounts[0], fixture.stream.id.bytes
    fixture.book.sessions.end(SessionId(1), "replaced", fixture.clock.wall_ms - 5000)
    await world.stop()
    world.redis.call("FLUSHALL")
    fixture.book = Book.open(world.url, Asset())
    await world.start()

    await world.claims.offer([claim(account, 1, BEGIN, 10, stream=stream, units=PRICE)])

    totals = await world.store.totals()
    assert (totals.metered_ticks, totals.unpaid_ticks) == (10, 0)
    refused = await world.claims.claim(claim(account, 1, BEGIN + 10, stream=stream, units=PRICE))
    assert refused.verdict is Verdict.SESSION
    (reading,) = await world.claims.meters([(account, stream, SessionId(1))])
    assert reading.state == "replaced"


async def test_seconds_of_what_the_older_book_does_not_know_are_forgiven(world):
    """A price made after the backup: what was pending under it cannot be booked."""
    world.backup()
    world.fixture.book.streams.add_price("talks", Planck(7), BEGIN + 5)
    stream = world.fixture.stream.id.bytes
    account = world.fixture.accounts[0]
    await world.watch(0, BEGIN, 5)
    await world.claims.claim(claim(account, 1, BEGIN + 5, 4, stream=stream, version=2, units=7))

    found = await world.restore(is_other_redis=True)

    assert found.pending_ticks == 5
    assert (await world.store.totals()).forgiven_ticks == 4
    assert await world.watch(0, BEGIN, 9) == set()
    await world.settle()
    await world.assert_right()


@pytest.mark.parametrize("seed", range(4))
async def test_any_story_of_backups_and_restores_bills_each_second_once(world, seed):
    """Random watching, settling, backups, restarts and restores, newer backups after older too."""
    dice = random.Random(seed)
    world.backup()
    restores = 0
    for _ in range(30):
        world.fixture.clock.wall_ms += dice.randrange(1000, 6000)
        act = dice.choice("wwwwcsbbrx")
        if act == "w":
            viewer = dice.randrange(3)
            behind = dice.randrange(WINDOW_S)
            await world.watch(viewer, world.now - behind, dice.randrange(1, behind + 2))
        elif act == "c":
            await world.cutter.round()
        elif act == "s":
            await world.settle()
        elif act == "b":
            world.backup()
        elif act == "x":
            await world.stop()
            world.redis.stop()
            world.redis.start()
            world.fixture.book = Book.open(world.url, Asset())
            assert (await world.start()).floors == ()
        else:
            restores += 1
            await world.restore(
                dice.randrange(len(world.backups)), is_other_redis=dice.random() < 0.5
            )
            for viewer in range(3):
                await world.watch(viewer, world.now - WINDOW_S, WINDOW_S)
            await world.assert_right()
    await world.settle()
    await world.assert_right()
    assert restores
    forgiven = sum(len(ticks) for ticks in world.free.values())
    assert forgiven <= restores * 3 * (WINDOW_S + 5)
