"""One Redis, one book: who may serve money from a store, and what happens beside another (O1)."""

import asyncio
import shutil
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import Start, StartRefusedError
from mediaserver.processes.control import Control
from mediaserver.processes.data_dir import identity
from metering.errors import StoreRefusedError, StoreUnavailableError
from metering.store import keys
from metering.store.client import Store
from metering.store.owned_store import Held, OtherBook, Owner, Taken
from metering.store.records import BalanceState, ShardState, Unbilled
from metering.store.store_lock import StoreLock
from metering.units import SHARDS, Units, shard_of
from tests.support.control_server import Server, settings
from tests.support.metering_kit import account, grant

WHO = account(1)
OURS = Owner("book", "here:/a (process 1)", "a")
COPY = Owner("book", "there:/b (process 2)", "b")
STRANGER = Owner("another", "there:/c (process 3)", "c")


@pytest.fixture
async def stores(redis_server):
    made = [await Store.connect(redis_server.url, "everysec") for _ in range(2)]
    await made[0]._redis.flushall()
    yield made
    for store in made:
        await store.close()


def lock_of(owner: Owner, lost=lambda: None, ttl_ms: int = 400) -> StoreLock:
    return StoreLock(owner, lost, ttl_ms=ttl_ms, renew_s=0.05)


async def test_o1_a_store_of_another_book_is_refused_also_when_nobody_runs(stores):
    """A staging copy of the configuration never rebuilds the real Redis over the real server."""
    first, second = stores
    assert await first.own(OURS, 10, is_first=True) == Taken(was_anothers=False)
    await first.renew(0)

    assert await second.own(STRANGER, 10, is_first=True) == OtherBook("book", OURS.name)
    with pytest.raises(StoreRefusedError) as refused:
        await lock_of(STRANGER).take(second)
    for word in (OURS.name, STRANGER.name, "book", "another", "metering.redis_url"):
        assert word in str(refused.value)


async def test_o1_a_copy_beside_a_server_that_runs_is_refused_by_name(stores):
    """A copied data directory has the same book: the running server keeps the store."""
    first, second = stores
    ours = lock_of(OURS)
    await ours.take(first)

    with pytest.raises(StoreRefusedError) as refused:
        await lock_of(COPY).take(second)

    assert OURS.name in str(refused.value)
    assert COPY.name in str(refused.value)
    assert "running" in str(refused.value)
    assert ours.is_held
    await ours.give_back(first)


async def test_o1_what_a_dead_server_held_is_free_when_it_expires(stores):
    """A machine that lost power keeps another from starting for seconds, not for good."""
    first, second = stores
    await first.own(OURS, 400, is_first=True)
    copy = lock_of(COPY)

    assert await copy.take(second)

    assert await second._redis.hget(keys.lock(), "n") == COPY.name.encode()
    await copy.give_back(second)


async def test_o1_the_same_data_directory_starts_again_at_once(stores):
    """After kill -9 the same server goes on: the lock on disk proves that it is the only one."""
    first, second = stores
    await first.own(OURS, 60_000, is_first=True)

    again = lock_of(replace(OURS, name="here:/a (process 9)"), ttl_ms=60_000)

    async with asyncio.timeout(20):  # not when the dead one's lock has expired
        assert await again.take(second) is False
    await again.give_back(second)


async def test_o1_a_twin_of_the_machine_does_not_take_turns(stores):
    """Two machines of one image seem to be one server: the first one is out, and stays out."""
    first, second = stores
    lost = asyncio.Event()
    one, twin = lock_of(OURS, lost.set), lock_of(OURS)
    await one.take(first)

    await twin.take(second)
    await asyncio.wait_for(lost.wait(), 5)

    with pytest.raises(StoreRefusedError, match="running"):
        await one.take(first)
    assert twin.is_held
    await twin.give_back(second)


async def test_o1_a_server_that_slept_changes_nothing_when_it_wakes(stores):
    """Its token is old: no write of it passes any shard, whatever it was in the middle of."""
    first, second = stores
    await first.own(OURS, 1, is_first=True)
    await first.set_deposits(WHO, Units(7))
    shard = shard_of(WHO)
    state = ShardState(balances=(BalanceState(WHO, Units(9), Units(0)),))
    await first.rebuild((shard + 1) % SHARDS, ShardState(), "epoch-of-the-dead")
    async with asyncio.timeout(10):
        while isinstance(taken := await second.own(COPY, 60_000, is_first=True), Held):
            pass  # until it expires by Redis' clock
    assert taken == Taken(was_anothers=True)
    before = await _contents(second)

    for write in (
        lambda: first.set_deposits(WHO, Units(9)),
        lambda: first.set_limits(WHO, Units(9), Units(9)),
        lambda: first.open_session(grant(WHO, 1), 2),
        lambda: first.cut(3, 1, 0),
        lambda: first.forget(3, 1),
        first.void,
        lambda: first.rebuild(shard, state, "epoch-of-the-dead"),  # in the middle of one
        lambda: first.rebuild(shard, state, "another-epoch"),
        lambda: first.forget_unbilled(Unbilled(3, (), (b"x", b"1"))),
    ):
        with pytest.raises(StoreUnavailableError):
            await write()

    assert await first.renew(1000) == COPY.name
    assert await _contents(second) == before
    assert await second.set_deposits(WHO, Units(8)) == 8


async def _contents(store: Store) -> dict[Any, Any]:
    found = await store._redis.keys("*")
    return {key: await store._redis.dump(key) for key in sorted(found)}


async def test_o1_an_emptied_store_is_taken_again(stores):
    """FLUSHALL or an empty replica: nobody else has it, and the token still grows."""
    first, _ = stores
    lock = lock_of(OURS)
    await lock.take(first)
    token = int(await first._redis.hget(keys.lock(), "t"))
    await first._redis.flushall()
    with pytest.raises(StoreUnavailableError):
        await first.set_deposits(WHO, Units(1))

    await lock.take(first)

    assert int(await first._redis.hget(keys.lock(), "t")) > token
    assert await first.set_deposits(WHO, Units(1)) == 1
    await lock.give_back(first)


async def test_o1_renewing_is_no_change_that_is_looked_at(stores):
    """An idle server stays idle: its own lock does not make it look at 256 shards again."""
    first, _ = stores
    await first.own(OURS, 60_000, is_first=True)
    await first.epoch()
    await first.renew(60_000)

    await first.epoch()
    assert first.is_quiet

    await first._redis.set("x", 1)
    await first.epoch()
    assert not first.is_quiet


async def test_o1_held_by_another_says_until_when(stores):
    """What is waited for has a name and an end."""
    first, second = stores
    await first.own(OURS, 60_000, is_first=True)

    answer = await second.own(COPY, 60_000, is_first=True)

    assert isinstance(answer, Held)
    assert answer.name == OURS.name


# Whole controls


@pytest.fixture
async def server(tmp_path):
    (tmp_path / "a").mkdir()
    async with Server(tmp_path / "a", settings()) as running:
        yield running


def second_control(folder: Path, url: str) -> Control:
    tree = settings()
    tree = replace(tree, metering=replace(tree.metering, redis_url=url))
    (folder / "run").mkdir(parents=True, exist_ok=True)
    secret_files.make_missing(tree, folder)
    return Control(Start(tree, None, folder, Namespace()))


@pytest.mark.parametrize("how", ["a server of its own", "a copied data directory"])
async def test_o1_a_second_server_on_a_redis_does_not_start(server, tmp_path, how):
    """The second one ends with both names; the first one does not notice."""
    policy = await server.policy(lambda p: p.store_epoch)
    folder = tmp_path / "b"
    if how == "a copied data directory":
        shutil.copytree(server.data_dir, folder, ignore=shutil.ignore_patterns("run", "redis"))

    with pytest.raises(StartRefusedError) as refused:
        await asyncio.wait_for(
            second_control(folder, server.redis.url).run(asyncio.Event()), timeout=30
        )

    assert str(server.data_dir) in str(refused.value)
    assert str(folder) in str(refused.value)
    await server.until_ready()
    await server.stream()
    after = await server.policy(lambda p: p.streams)
    assert after.store_epoch == policy.store_epoch


async def test_o1_a_lost_lock_stops_serving_money_at_once(server):
    """No claim passes, /readyz says so, and no viewer is let in, until the lock is ours again."""
    await server.stream()
    await server.viewer()
    await server.policy(lambda p: p.store_epoch)
    other = await Store.connect(server.redis.url, "everysec")
    book = (await other._redis.hget(keys.lock(), "b")).decode()
    await other._redis.hset(keys.lock(), "x", 0)
    assert await other.own(replace(COPY, book=book), 60_000, is_first=True) == Taken(
        was_anothers=True
    )

    await server.policy(lambda p: not p.store_epoch)
    await server.until_ready(503)
    await server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"}, 503)

    await other.renew(0)
    await other.close()
    await server.until_ready()
    await server.mint()


def test_o1_a_copy_of_a_data_directory_has_another_identity(tmp_path):
    """What tells two servers apart is on no file that a copy would have."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/book").write_text("x")
    before = identity(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    assert identity(tmp_path / "b") != before
    assert identity(tmp_path / "a") == before
