"""A-H2: after a restored book, what a stream had planned makes no other stream free."""

from __future__ import annotations

import pytest

from metering.book.book import Book
from metering.units import Asset
from tests.support.restored_world import BEGIN, restored_world


@pytest.fixture
async def world(tmp_path, redis_folder):
    async with restored_world(tmp_path, redis_folder) as made:
        yield made


@pytest.mark.parametrize("harm", ["none", "restarted", "emptied", "restored"])
async def test_a_h2_each_stream_has_a_floor_of_its_own(world, harm):
    """One stream whose time ran 600 s ahead makes no other free; its own end survives."""
    world.ahead = 50
    await world.watch(0, BEGIN, 5)
    world.backup()
    await world.settle()
    await world.restore()
    above = world.above
    world.ahead = 2
    if harm == "restored":
        await world.restore()  # a book that knows nothing of the floor: the store does
    elif harm != "none":
        await world.stop()
        if harm == "emptied":
            world.redis.call("FLUSHALL")
        else:
            world.redis.stop()
            world.redis.start()
        world.fixture.book = Book.open(world.url, Asset())
        await world.start()

    assert await world.watch(0, above - 3, 6) == {above, above + 1, above + 2}
    await world.settle()
    await world.assert_right()
