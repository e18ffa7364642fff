"""What is covered at scale: a show's first N seconds are free, and it costs never more than X.

Whatever is fetched, whatever a second costs, and whenever Redis is rebuilt.
Many viewers of one stream are driven side by side through two gates, which stand for two HTTP
processes, over a real book and the real scripts. `Reference` is what they are judged by.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import insert

from mediaserver.accounting.pass_sales import sell
from mediaserver.api.streams.stream_policies import stream_policies
from metering.admission.gate import LocalGate
from metering.book import schema
from metering.book.async_book import AsyncBook
from metering.model import ticks
from metering.model.passes import BACK_S, MONTH_S, Pass, PassKind, PassOffer
from metering.recovery.reconcile import reconcile
from metering.recovery.recovery import recover
from metering.recovery.shard_state import RecoveryPolicy
from metering.settings import MeteringSettings
from metering.settlement.cutter import Cutter
from metering.store import keys
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.units import (
    AccountId,
    Admission,
    Asset,
    Cause,
    Fetch,
    Medium,
    Planck,
    Run,
    SessionId,
    StreamPolicy,
    Units,
    Verdict,
    session_text,
    shard_of,
)
from tests.support.book_fixture import BookFixture, make_book
from tests.support.covered_reference import SHOWS, Reference
from tests.support.metering_kit import FAR_MS, NOW, clock_now

SEQUENCES = int(os.environ.get("VILOKANAM_SEQUENCES", "2000"))
"""`make soak` asks for 100,000."""
SEED = int(os.environ["VILOKANAM_SEED"])
"""Printed at the head of each run by tests/conftest.py."""
SIDE_BY_SIDE = 1000
STEPS = 9
RETRIES = 20
SHARDS_USED = 8
"""Each shard that is used costs a rebuild its time."""
POLICY = RecoveryPolicy(watched_hours=24, cut_period_s=10, window_ms=60_000)
RICH = 10**9
ENDLESS = 10**12
"""No cap."""


class World:
    """A stream, its viewers, two HTTP processes, and the Redis that is rebuilt under them."""

    store: Store
    claims: tuple[RawClaims, ...]
    gates: tuple[LocalGate, ...]
    cutter: Cutter

    def __init__(self, path: str, rng: random.Random, *, is_emptied: bool) -> None:
        self.rng = rng
        self.url = path
        self.preview = rng.choice((0, 1, 4, 9))
        self.caps = {show: rng.choice((25, 47, 100, ENDLESS)) for show in SHOWS}
        self.is_emptied = is_emptied
        self.clock = clock_now()
        self.newest = SHOWS[0]
        # What an emptied Redis is told again comes in another order: an empty balance may then
        # have its preview at other seconds than before, and so not the same that it cannot pay.
        has_caps = min(self.caps.values()) < ENDLESS
        deposits = ((RICH,) if has_caps else (0, RICH)) if is_emptied else (0, 25, RICH)
        self.prices = [(0, 10)]
        self.fixture: BookFixture = make_book(viewers=0, price=Planck(10))
        self.book = AsyncBook(self.fixture.book)
        self.lives = []
        accounts = [n.to_bytes(4, "big") * 8 for n in range(SIDE_BY_SIDE * 40)]
        few = [
            AccountId(account) for account in accounts if shard_of(AccountId(account)) < SHARDS_USED
        ]
        self.fixture.accounts = few[:SIDE_BY_SIDE]
        book, stream = self.fixture.book, self.fixture.stream.id
        with book.together() as connection:
            for show, cap in self.caps.items():
                planck = Planck(0 if cap == ENDLESS else cap)
                book.show_caps.put(stream, planck, 0 if show == SHOWS[0] else show)
            connection.execute(insert(schema.viewers), [_viewer(a) for a in self.fixture.accounts])
            for number, account in enumerate(self.fixture.accounts):
                deposit = rng.choice(deposits)
                if deposit:
                    book.deposits.add(account, Planck(deposit), f"deposit {number}", "", 1)
                self.lives.append(Reference(self.preview, self.caps, deposit, self.prices))
            sessions = [
                _session(SessionId(2 * number + tab), account, stream)
                for number, account in enumerate(self.fixture.accounts)
                for tab in (0, 1)
            ]
            connection.execute(insert(schema.sessions), sessions)
            for account, life in zip(self.fixture.accounts, self.lives, strict=True):
                if rng.random() < 0.2:
                    life.own = (SHOWS[0] + rng.randrange(20), rng.choice((0, 3, 30)))
                    first, cost = life.own
                    book.named_prices.add(stream, account, Planck(cost), first)
        self.sold = 0
        self.last: list[Fetch | None] = [None] * SIDE_BY_SIDE

    async def rebuild(self) -> None:
        """Take Redis down and let control make it again; the HTTP processes tell what they did."""
        if self.is_emptied:
            await self.store._redis.flushall()
        else:
            await self.store.void()
        await self.start()

    async def start(self) -> None:
        found = await recover(self.store, self.book, NOW * 1000, POLICY)
        for gate, claims in zip(self.gates, self.claims, strict=True):
            self._tell(gate, found.epoch)
            await claims.wait_ready()
            if gate._replay is not None:
                await gate._replay

    def _policy(self) -> StreamPolicy:
        book = self.fixture.book
        (policy,) = stream_policies(book.streams.all(), book.named_prices.all(), self.preview, 0)
        return policy

    def change_price(self) -> None:
        """Announce a price, past the newest tick."""
        first, cost = self.newest + 3, self.rng.choice((0, 7, 13))
        self.prices.append((first, cost))
        self.fixture.book.streams.add_price(self.fixture.stream.slug, Planck(cost), first)
        for gate in self.gates:
            self._tell(gate, gate._epoch)

    def _tell(self, gate: LocalGate, epoch: str) -> None:
        run_id, now_s = self.store.run_id, self.clock.monotonic()
        gate.set_policy((self._policy(),), Asset(), epoch, run_id, 0, now_s)

    def next_fetch(self, number: int) -> Fetch:
        """A part, a segment, a retry, another quality or tab, an older one; of one show."""
        rng, last = self.rng, self.last[number]
        if last is not None and rng.random() < 0.2:
            return last
        count = rng.choice((1, 1, 2, 4))
        first = max(SHOWS[0], self.newest - count + 1 - int(rng.random() * 8))
        show = SHOWS[1] if first >= SHOWS[1] else SHOWS[0]
        if show == SHOWS[0]:
            count = min(count, SHOWS[1] - first)
        self.last[number] = fetch = Fetch(
            self.fixture.accounts[number],
            SessionId(2 * number + rng.choice((0, 1))),
            self.fixture.stream.id,
            Run(first, count),
            count * 500,
            Medium.VIDEO,
            show,
        )
        return fetch

    async def sell(self, number: int) -> None:
        """Sell somebody a pass for the show that is on air, or for a month that begins or ends."""
        rng, life, account = self.rng, self.lives[number], self.fixture.accounts[number]
        stream = self.fixture.stream
        show = SHOWS[1] if self.newest >= SHOWS[1] else SHOWS[0]
        kind, cost = rng.choice(list(PassKind)), rng.choice((1, 20, 30))
        begins = self.newest + BACK_S + rng.randrange(-20, 10)
        ends = self.newest - MONTH_S + rng.randrange(-3, 30)
        self.sold += 1
        key, at_ms = f"pass {self.sold}", rng.choice((begins, ends)) * 1000

        async def ask() -> Pass:
            offer = PassOffer(kind, 0, Planck(cost))
            return await self.book.run(
                lambda book: book.passes.ask(
                    account, stream, offer, show=show, idempotency_key=key, now_ms=at_ms
                )
            )

        async def pay(asked: Pass) -> Pass:
            return await self.book.run(lambda book: book.passes.pay(asked.id, at_ms))

        def not_now(_: AccountId) -> None:
            raise AssertionError("Redis is there")

        none = (Units(0), Units(0))
        for _ in range(2):  # asked again by the same key, nothing is charged again
            item, verdict, _ = await sell(self.store, self.book, account, ask, pay, none, not_now)
        assert (verdict is Verdict.GRANTED) == (cost <= life.balance), f"seed {SEED}"
        if item is not None:
            life.balance -= cost
            life.passes.append(item)

    async def step(self) -> None:
        fetches = [self.next_fetch(number) for number in range(SIDE_BY_SIDE)]
        gates = [self.rng.choice(self.gates) for _ in fetches]

        async def admit(gate: LocalGate, fetch: Fetch) -> Admission:
            found = await gate.admit(fetch)
            for _ in range(RETRIES):
                if found.verdict is not Verdict.STORE:
                    break
                # A machine that is busy with other things answers late: asked again, as players do.
                found = await gate.admit(fetch)
            return found

        found = await asyncio.gather(*map(admit, gates, fetches))
        for life, fetch, admission in zip(self.lives, fetches, found, strict=True):
            expected = life.fetch(fetch.run, fetch.show)
            assert admission.verdict is expected, f"seed {SEED}: {fetch}"
        self.clock.move(self.rng.choice((0.3, 1.5)))
        self.newest += self.rng.choice((1, 3, 5))

    async def live(self) -> None:
        rng = self.rng
        change_at, cut_at = rng.randrange(STEPS), rng.randrange(STEPS)
        rebuilt_at = rng.randrange(1, STEPS)
        for step in range(STEPS):
            if step == change_at:
                self.change_price()
            if step == cut_at:
                await self.cutter.round()
            if step == rebuilt_at:
                await self.rebuild()
            for number in rng.sample(range(SIDE_BY_SIDE), SIDE_BY_SIDE // 40):
                await self.sell(number)
            await self.step()
        await self.cutter.round()
        await self._compare()

    async def _compare(self) -> None:
        book, stream = self.fixture.book, self.fixture.stream.id
        shown: dict[bytes, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        above: dict[bytes, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        free: dict[bytes, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        held: dict[bytes, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        of = {
            Cause.PREVIEW: shown,
            Cause.CAP: above,
            Cause.FREE_LIST: free,
            Cause.PASS: held,
        }
        for line in book.covered.all():
            of[line.cause][line.account][line.show] |= _ticks(line.runs)
        for account, life in zip(self.fixture.accounts, self.lives, strict=True):
            covered, capped = shown[account], above[account]
            billed = _ticks(book.cuts.watched(account, stream))
            assert set().union(*free[account].values()) == life.listed, f"seed {SEED}"
            passed = set().union(*held[account].values())
            assert not (life.listed | life.passed) & billed, f"seed {SEED}"
            assert not passed & billed, f"seed {SEED}"
            assert passed >= life.passed, f"seed {SEED}"
            if not self.is_emptied:
                assert passed == life.passed, f"seed {SEED}"
                key = keys.balance(account)
                assert int(await self.store._redis.hget(key, "b") or 0) == life.balance
            for show in SHOWS:
                both = covered[show] | capped[show]
                watched = (
                    life.covered[show]
                    | life.capped[show]
                    | {tick for tick in life.billed if (tick >= SHOWS[1]) == (show == SHOWS[1])}
                )
                # What an emptied Redis is told again may be covered by a pass bought since.
                if not (self.is_emptied and life.passes):
                    assert len(covered[show]) == min(self.preview, len(watched)), f"seed {SEED}"
                assert both | billed | passed >= watched, f"seed {SEED}"
                assert not both & billed, f"seed {SEED}"
                assert not covered[show] & capped[show], f"seed {SEED}"
                if not self.is_emptied:
                    assert covered[show] == life.covered[show], f"seed {SEED}"
                    assert capped[show] == life.capped[show], f"seed {SEED}"
            if not self.is_emptied:
                assert billed == set(life.billed), f"seed {SEED}"
        # Among its differences: a show that cost anybody more than its cap.
        found = await reconcile(self.book, self.store)
        assert [str(difference) for difference in found.differences] == []
        total = sum(
            len(ticks)
            for viewers in of.values()
            for shows in viewers.values()
            for ticks in shows.values()
        )
        assert found.counters.covered_ticks == total


def _viewer(account: AccountId) -> dict[str, object]:
    return {
        "account": account,
        "shard": shard_of(account),
        "name": account.hex(),
        "key_sha256": account,
        "created_ms": 1,
    }


def _session(session: SessionId, account: AccountId, stream: UUID) -> dict[str, object]:
    return {
        "session": session_text(session),
        "account": account,
        "stream": stream,
        "join": 1,
        "created_ms": 1,
        "expires_ms": FAR_MS,
        "ends_ms": FAR_MS,
    }


def _ticks(runs: ticks.Runs) -> set[int]:
    return {tick for run in runs for tick in range(run.first, run.end)}


@asynccontextmanager
async def opened(url: str, rng: random.Random, *, is_emptied: bool) -> AsyncIterator[World]:
    """A world whose Redis is ready."""
    world = World(url, rng, is_emptied=is_emptied)
    world.store = await Store.connect(url, "everysec")
    try:
        async with RawClaims(url) as one, RawClaims(url) as two:
            world.claims = (one, two)
            world.gates = tuple(
                LocalGate(claims, MeteringSettings(), world.clock) for claims in world.claims
            )
            world.cutter = Cutter(world.store, world.book, lambda: NOW * 1000, 10)
            await world.start()
            yield world
            for gate in world.gates:
                await gate.close()
    finally:
        await world.store.close()
        await world.book.close()


@pytest.mark.timeout(300 + SEQUENCES // 10)
async def test_a_show_is_free_for_n_seconds_and_never_costs_more_than_its_cap(redis_server):
    """Reloads, tabs, qualities, price changes, a Redis rebuilt or emptied: exactly."""
    rng = random.Random(SEED)
    for turn in range(max(2, SEQUENCES // SIDE_BY_SIDE)):
        redis_server.call("FLUSHALL")
        async with opened(redis_server.url, rng, is_emptied=turn % 2 == 1) as world:
            await world.live()
