"""What is counted beside the bill, each second once, whatever becomes of Redis and of the book."""

from __future__ import annotations

import shutil

import pytest
from structlog.testing import capture_logs

from metering.errors import StoreUnavailableError
from metering.ports import Claim
from metering.recovery.reconcile import reconcile
from metering.store.client import Store
from metering.units import NO_COVER, Cause, Cover, Planck, Units, shard_of
from tests.support.book_fixture import PRICE, InlineBook
from tests.support.metering_kit import claim
from tests.support.restored_world import BEGIN, World, restored_world


@pytest.fixture
async def world(tmp_path, redis_folder):
    async with restored_world(tmp_path, redis_folder) as made:
        yield made


async def deliver_unpaid(world: World, first: int, count: int) -> None:
    """Bring evidence of seconds that nobody pays for: its session is not known."""
    account, stream = world.fixture.accounts[0], world.fixture.stream.id.bytes
    await world.claims.offer([claim(account, 99, first, count, stream=stream, units=PRICE)])


def unpaid(world: World) -> int:
    return world.fixture.book.unbilled.counters().unpaid_ticks


@pytest.mark.parametrize("is_emptied", [False, True])
@pytest.mark.parametrize("is_booked", [False, True])
async def test_a_preview_is_no_longer_after_redis_was_killed(world, is_emptied, is_booked):
    """Each first second of the show is free once, whatever the book had of it by then."""
    account, stream = world.fixture.accounts[0], world.fixture.stream.id.bytes
    cover = Cover(BEGIN, 10)

    def seconds(first: int, count: int) -> Claim:
        return claim(account, 1, first, count, stream=stream, units=PRICE, cover=cover)

    await world.claims.claim(seconds(BEGIN, 4))
    if is_booked:
        await world.cutter.round()
    await world.claims.claim(seconds(BEGIN + 4, 3))
    if is_emptied:
        await world.cutter.round()
        world.redis.call("FLUSHALL")
    world.redis.stop()
    world.redis.start()
    await world.again()

    again = await world.claims.claim(seconds(BEGIN, 7))
    rest = await world.claims.claim(seconds(BEGIN + 7, 5))

    assert (again.covered_ticks, again.new_ticks) == (0, 0)
    assert (rest.covered_ticks, rest.new_ticks) == (3, 2)
    await world.cutter.round()
    found = await reconcile(InlineBook(world.fixture.book), world.store)
    assert found.is_balanced
    assert found.counters.covered_ticks == 10
    assert found.covered == {(world.fixture.stream.id, account): {Cause.PREVIEW: 10}}


@pytest.mark.parametrize("is_emptied", [False, True])
@pytest.mark.parametrize("is_booked", [False, True])
async def test_a_show_costs_no_more_than_its_cap_after_redis_was_killed(
    world, is_emptied, is_booked
):
    """What was spent in it is derived again, from all of its seconds and from none before it."""
    account, book = world.fixture.accounts[0], world.fixture.book
    stream = world.fixture.stream.id
    cap = Planck(5 * PRICE + 1)
    book.show_caps.put(stream, cap, BEGIN)
    cover = Cover(BEGIN, 0, Units(cap))

    def seconds(first: int, count: int, cover: Cover = cover) -> Claim:
        asked = {"stream": stream.bytes, "units": PRICE, "cover": cover}
        return claim(account, 1, first, count, **asked)

    await world.claims.claim(seconds(BEGIN - 9, 3, NO_COVER))  # of the show before
    await world.cutter.round()
    await world.claims.claim(seconds(BEGIN, 2))
    if is_booked:
        await world.cutter.round()
    await world.claims.claim(seconds(BEGIN + 2, 2))
    if is_emptied:
        await world.cutter.round()
        world.redis.call("FLUSHALL")
    world.redis.stop()
    world.redis.start()
    await world.again()

    again = await world.claims.claim(seconds(BEGIN, 4))
    rest = await world.claims.claim(seconds(BEGIN + 4, 3))

    assert (again.covered_ticks, again.new_ticks) == (0, 0)
    assert (rest.covered_ticks, rest.new_ticks, rest.cost_units) == (2, 1, PRICE)
    await world.cutter.round()
    found = await reconcile(InlineBook(book), world.store)
    assert found.is_balanced
    assert found.covered == {(stream, account): {Cause.CAP: 2}}


@pytest.mark.parametrize("harm", ["restarted", "emptied", "went back", "emptied, older book"])
async def test_each_unpaid_second_is_counted_once(world, harm, tmp_path):
    """Restarted, emptied, put back to an earlier state, or emptied before the book is restored."""
    kept = tmp_path / "redis-before"
    await deliver_unpaid(world, BEGIN, 5)
    await world.cutter.round()
    world.redis.stop()
    shutil.copytree(world.redis.folder, kept, ignore=shutil.ignore_patterns("*.sock"))
    world.redis.start()
    await world.again()
    await deliver_unpaid(world, BEGIN + 5, 7)
    await world.cutter.round()
    world.backup()

    if harm == "went back":
        world.redis.stop()
        shutil.rmtree(world.redis.folder)
        shutil.copytree(kept, world.redis.folder)
        world.redis.start()
    elif harm == "restarted":
        world.redis.stop()
        world.redis.start()
    else:
        world.redis.call("FLUSHALL")
    await world.again()
    # Before the book looks the next time, as many and more than it was told last.
    await deliver_unpaid(world, BEGIN + 12, 20)
    await world.cutter.round()
    if harm == "emptied, older book":
        await world.restore()
        await world.cutter.round()

    assert unpaid(world) == 32
    assert (await world.store.totals()).unpaid_ticks == 32
    # What is known to be unpaid is not counted again.
    await deliver_unpaid(world, BEGIN, 12)
    await world.cutter.round()
    assert unpaid(world) == 32


async def test_what_a_recovery_that_broke_off_found_lost_is_told_by_the_next(world):
    """The operator is told of one restored book, and of all that is lost with it."""
    world.backup()
    for viewer in range(3):
        await world.watch(viewer, BEGIN, 4 + viewer)
    await world.settle()
    _, second, _ = sorted(shard_of(account) for account in world.fixture.accounts)

    class BreakingStore(Store):
        async def rebuild(self, shard, state, epoch):
            if shard == second:
                raise StoreUnavailableError("Redis went away")
            await super().rebuild(shard, state, epoch)

    world.store_kind = BreakingStore
    with pytest.raises(StoreUnavailableError):
        await world.restore()
    world.store_kind = Store
    world.fixture.clock.wall_ms += 1000
    with capture_logs() as logs:
        found = await world.again()

    assert sum(floor.lost_ticks for floor in found.floors) == 15
    (told,) = [line for line in logs if line["event"] == "metering.book.restored"]
    assert (told["shards"], told["lost_ticks"]) == (3, 15)
    (restore,) = (await reconcile(InlineBook(world.fixture.book), world.store)).restores
    assert (restore.shards, restore.lost_ticks) == (3, 15)
    assert (await world.again()).floors == ()
