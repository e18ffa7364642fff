"""No player spends more than its limit, whatever its viewer does and whatever Redis loses.

Lives of many viewers are driven through the functions behind the API, the scripts of a real Redis
and its recovery; `Life` counts beside them what each player was billed.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import MISSING, fields
from typing import Any
from unittest.mock import Mock

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from mediaserver.api.context import CONTEXT, Context
from mediaserver.api.streams.decisions import decisions_of
from mediaserver.api.viewers import tokens
from mediaserver.api.viewers.limits import hold_players
from mediaserver.api.who import PRINCIPAL
from mediaserver.people.records import ADMIN
from mediaserver.people.service import People
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.book.records import RETURNING, StreamRecord
from metering.model.spending_limits import SpendingLimits
from metering.recovery.recovery import recover
from metering.recovery.shard_state import RecoveryPolicy
from metering.settlement.cutter import Cutter
from metering.store.claim_client import RawClaims
from metering.store.client import Store
from metering.units import AccountId, Planck, SessionId, Units, Verdict
from tests.support.book_fixture import BookFixture, make_book
from tests.support.metering_kit import NOW, claim
from tests.support.servers.redis import RealRedis

SEED = int(os.environ["VILOKANAM_SEED"])
LIVES, STEPS, ROUNDS = 24, 12, 2
PRICE = Planck(10)
POLICY = RecoveryPolicy(watched_hours=24, cut_period_s=10)


class World:
    """A book, a Redis, and what the API's functions need of a server."""

    store: Store

    def __init__(self, redis: RealRedis, fixture: BookFixture) -> None:
        self.redis, self.fixture = redis, fixture
        self.stream: StreamRecord = fixture.stream
        self.book = AsyncBook(fixture.book)
        fixture.clock.wall_ms = NOW * 1000
        asked: dict[str, Any] = {
            "settings": Settings(),
            "clock": fixture.clock,
            "book": self.book,
            "store": self._lent,
            "apply_deposits": self._deposits,
            "token_keys": [(1, b"k" * 32)],
            "people": People(self.book),
            "decisions": decisions_of(Settings(), fixture.clock),
        }
        needed = {part.name: Mock() for part in fields(Context) if part.default is MISSING}
        self.shared = Context(**needed | asked)

        app = web.Application()
        app[CONTEXT] = self.shared
        self.request = make_mocked_request("POST", "/api/v1/streams/talks/join", app=app)
        self.request[PRINCIPAL] = ADMIN

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Store]:
        yield self.store

    async def _deposits(self, store: Store, account: AccountId) -> None:
        total = await self.book.run(lambda book: book.deposits.total(account))
        await store.set_deposits(account, Units(total))

    async def connect(self) -> None:
        self.store = await Store.connect(self.redis.url, "everysec")

    async def recovered(self, claims: RawClaims, *, is_emptied: bool) -> None:
        """Rebuild Redis after it lost its marks alone, or everything that is booked."""
        if is_emptied:
            await Cutter(self.store, self.book, self.fixture.clock, 10).round()
            self.redis.call("FLUSHALL")
            await self.store.close()
            await self.connect()
        await self.store.void()
        found = await recover(self.store, self.book, self.fixture.clock.wall_ms, POLICY)
        assert found.is_new
        claims.set_expected(found.epoch, self.store.run_id)
        await claims.wait_ready()


class Life:
    """One viewer, their players, and what each of those was billed, counted here."""

    def __init__(self, world: World, account: AccountId, rng: random.Random) -> None:
        self.world, self.account, self.rng = world, account, rng
        self.limits = SpendingLimits()
        self.next = NOW - 50
        self.players: list[SessionId] = []
        self.limit: dict[SessionId, int] = {}
        self.player: dict[SessionId, int] = {}
        """Which player a session is of: one that comes back has another session."""
        self.spent: dict[int, int] = defaultdict(int)
        self.total = 0
        self.verdicts: list[Verdict] = []

    async def step(self, claims: RawClaims) -> None:
        acts: list[tuple[int, Callable[[RawClaims], Awaitable[None]]]] = [
            (8, self.watch),
            (2, self.open),
            (2, self.reload),
            (2, self.change),
        ]
        act = self.rng.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        await act(claims)

    def amount(self) -> Planck:
        return Planck(self.rng.choice((0, 0, 15, 30, 45, 100)))

    async def open(self, _: RawClaims) -> None:
        limit = self.rng.choice((None, self.amount()))
        made, _token = await tokens.open_session(
            self.world.request,
            "viewer.join",
            self.account,
            self.world.stream,
            ttl_s=3600,
            life_s=3600,
            own_limit=limit,
        )
        self.keep(made.session, len(self.spent) + len(self.players), int(limit or 0))

    async def reload(self, claims: RawClaims) -> None:
        """Mint again for a player, who goes on or comes back."""
        if not self.players:
            return await self.open(claims)
        session = self.rng.choice(self.players)
        known = self.world.fixture.book.sessions.get(session)
        if known.ended_ms is not None and known.reason not in RETURNING:
            return None
        limit = self.rng.choice((None, self.amount()))
        shared, stream = self.world.shared, self.world.stream
        made, _token = await tokens.mint_again(shared, known, stream, "", limit)
        kept = self.limit[session] if limit is None else int(limit)
        self.keep(made.session, self.player[session], kept)
        return None

    def keep(self, session: SessionId, player: int, limit: int) -> None:
        self.player[session], self.limit[session] = player, limit
        if session not in self.players:
            self.players.append(session)

    async def change(self, _: RawClaims) -> None:
        self.limits = SpendingLimits(
            self.amount(), Planck(4 * self.amount()), Planck(4 * self.amount())
        )
        world = self.world
        world.fixture.book.limits.put(self.account, self.limits, world.fixture.clock.wall_ms)
        await hold_players(world.shared, world.store, self.account)

    async def watch(self, claims: RawClaims) -> None:
        if not self.players:
            return
        session, count = self.rng.choice(self.players), self.rng.choice((1, 1, 2, 3))
        asked: dict[str, Any] = {"stream": self.world.stream.id.bytes, "units": PRICE}
        answer = await claims.claim(claim(self.account, session, self.next, count, **asked))
        self.verdicts.append(answer.verdict)
        player, cost = self.player[session], count * PRICE
        own = [limit for limit in (self.limits.session, self.limit[session]) if limit]
        shared = [limit for limit in (self.limits.stream, self.limits.day) if limit]
        if answer.verdict is Verdict.GRANTED:
            self.next += count
            self.spent[player] += cost
            self.total += cost
            assert all(self.spent[player] <= limit for limit in own)
            assert all(self.total <= limit for limit in shared)
        elif answer.verdict is Verdict.LIMIT:
            # A player may have taken over what others spent, and never more than all did.
            assert any(self.total + cost > limit for limit in own + shared)


async def test_no_player_passes_its_limit_and_none_is_stopped_below_it(
    redis_server,
) -> None:
    """Over re-mints, players that are replaced and come back, changes of limits, and rebuilds."""
    rng = random.Random(SEED)
    fixture = make_book(viewers=LIVES, price=PRICE)
    world = World(redis_server, fixture)
    await world.shared.people.open()
    await world.connect()
    try:
        lives = [Life(world, account, rng) for account in fixture.accounts]
        async with RawClaims(redis_server.url) as claims:
            await world.recovered(claims, is_emptied=False)
            for _ in range(ROUNDS):
                for life in lives:
                    for _ in range(STEPS):
                        await life.step(claims)
                await world.recovered(claims, is_emptied=rng.random() < 0.5)
    finally:
        await world.store.close()
        await world.book.close()
    verdicts = [verdict for life in lives for verdict in life.verdicts]
    assert {Verdict.GRANTED, Verdict.LIMIT, Verdict.SESSION} >= set(verdicts)
    assert min(verdicts.count(Verdict.GRANTED), verdicts.count(Verdict.LIMIT)) > LIVES
