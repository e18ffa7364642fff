"""A book and the fake chain side by side: the same viewers, the same stream, the same price."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete

from metering.book.book import Book
from metering.book.escrow_schema import chain_cursor
from metering.book.records import Cursor
from metering.chain.node import storage
from metering.chain.node.client import Node
from metering.chain.node.scale import Hash
from metering.chain.pallet_chain import PalletChain
from metering.recovery.reconcile import Reconciliation, reconcile
from metering.settings import ChainSettings
from metering.settlement.settler import Settler
from metering.signing import KeyPair
from metering.testing.fake_node.node import FakeNode
from metering.testing.fake_node.runtime import UNIT
from metering.testing.fake_node.state import State, encoded
from metering.testing.fake_node.tables import Call
from metering.testing.fake_node.world import World
from metering.units import AccountId, Asset, Cut, CutLine, EntryKey, Run, shard_of
from tests.support.book_fixture import OPERATOR, PRICE, BookFixture, InlineBook, make_book
from tests.support.servers import chopsticks
from tests.support.wallet import Signer, account, of_stream

NOW_MS = 1_700_000_000_000
FIRST_TICK = 1_699_999_000
DEPOSIT = 100 * UNIT
FEE_PPM = 100_000


def setup_calls(
    stream: UUID, viewers: int, *, operator: KeyPair = OPERATOR
) -> list[tuple[KeyPair, Call]]:
    """Return what operator, creator and viewers do before anybody watches, in order."""
    calls = [
        (operator, of_stream("register_operator")),
        (
            account("creator"),
            of_stream(
                "create_stream",
                stream_id=stream.int,
                operator=operator.account,
                title=b"Talks",
                price=PRICE,
                splits=(storage.Split(operator.account, FEE_PPM),),
            ),
        ),
    ]
    for number in range(viewers):
        who = account(f"viewer {number}")
        calls.append((who, of_stream("deposit", operator=operator.account, amount=DEPOSIT)))
        calls.append((who, join_call(stream)))
    return calls


def join_call(stream: UUID, duration: int = 30 * 86400) -> Call:
    """Return a join without tight caps."""
    caps = {"max_spend": DEPOSIT, "max_price": PRICE, "duration": duration}
    return of_stream("join_with_caps", stream_id=stream.int, **caps)


def funds(viewers: int) -> dict[AccountId, int]:
    """Return what genesis gives to all of them."""
    people = [OPERATOR, account("creator"), *(account(f"viewer {n}") for n in range(viewers))]
    return {one.account: 1000 * UNIT for one in people}


def feed(book: Book, stream: UUID, fed: dict[AccountId, int], more: dict[AccountId, int]) -> None:
    """Book a round of cuts: each viewer of `more` watched so many further seconds; `fed` counts."""
    numbers = book.cuts.booked_numbers()
    lines: dict[int, list[CutLine]] = {}
    for who, count in more.items():
        before = fed.get(who, 0)
        run = Run(FIRST_TICK + before, count)
        line = CutLine(EntryKey(stream, who, 1, 1), (run,), before + count)
        lines.setdefault(shard_of(who), []).append(line)
        fed[who] = before + count
    cuts = [Cut(shard, numbers.get(shard, 0) + 1, tuple(some)) for shard, some in lines.items()]
    book.cuts.book(cuts, NOW_MS)


async def forget(book: Book) -> int:
    """Let a Redis that is not there forget what is final."""
    done = book.cuts.to_forget()
    book.cuts.mark_forgotten(done)
    return len(done)


@dataclass(frozen=True)
class WorldReads:
    """The world's storage without a node between; some values are changed on the way."""

    world: World
    bent: Mapping[bytes, Callable[[Any], Any]]

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return what is under each key at a block."""
        _, values = self.world.values_at(Hash(at))
        found = [(key, values.get(key)) for key in keys]
        return [
            None if value is None else encoded(key, self.bent.get(key, lambda one: one)(value))
            for key, value in found
        ]


NODE_TIMEOUT_S: Final = 30.0
"""The node and its metadata are served by the test's own process, which others slow down."""


@dataclass
class ChainScenario:
    """A book, the chain behind a node that has the same viewers, and how to settle."""

    fixture: BookFixture
    world: World
    node: FakeNode
    fed: dict[AccountId, int] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    lines: list[Node] = field(default_factory=list)

    def chain(self, **options: Any) -> PalletChain:
        """Return a back end over a connection of its own."""
        node = Node(self.node.url, NODE_TIMEOUT_S)
        self.lines.append(node)
        chosen = {"era_blocks": 64, "in_flight_max": 4, **options}
        return PalletChain(node, OPERATOR, **chosen)

    def settler(
        self, book: Book | None = None, *, exposure_alarm_planck: str = "0", **options: Any
    ) -> Settler:
        """Return a settler over a book, by default the scenario's."""
        its = book or self.fixture.book
        return Settler(
            InlineBook(its),
            self.chain(**options),
            settings=ChainSettings(
                batch_period_s=1,
                batch_entries_max=2,
                exposure_alarm_planck=exposure_alarm_planck,
            ),
            now_ms=self.fixture.clock,
            operator=OPERATOR,
            forget=lambda: forget(its),
            receipt_wait_ms=0,
        )

    def watch(self, *counts: int) -> None:
        """Let viewer 0, 1, … watch so many seconds, and book them."""
        more = {
            who: count for who, count in zip(self.fixture.accounts, counts, strict=False) if count
        }
        feed(self.fixture.book, self.fixture.stream.id, self.fed, more)

    def do(self, who: KeyPair, call: Call) -> None:
        """Put a call into the next block."""
        forks = self.world.forks
        genesis = forks.hash_at(0)
        assert genesis is not None
        signer = Signer(genesis, forks.finalized, forks.finalized_hash)
        nonce = State(forks.head.values).account(who.account).nonce
        self.world.submit(signer.sign(who, nonce, call))
        self.world.make_block()

    def on_chain(self) -> dict[AccountId, int]:
        """Return each viewer's ticks of join 1 as finalized state has them."""
        block = self.world.forks.block(self.world.forks.finalized_hash)
        assert block is not None
        found = {}
        for who in self.fixture.accounts:
            session = block.values.get(storage.session_key(self.fixture.stream.id, who, 1))
            if session is not None and session.ticks:
                found[who] = session.ticks
        return found

    async def settle_all(self, *settlers: Settler, turns: int = 60) -> None:
        """Make turns and blocks until nothing is open, or fail."""
        book = self.fixture.book
        for _ in range(turns):
            for settler in settlers or (self.settler(),):
                await settler.turn(is_due=True)
            self.world.make_block()
            self.fixture.clock.wall_ms += 6000
            if book.outbox.oldest() is None and self.settled() == self.fed:
                return
        raise AssertionError(f"{self.settled()} of {self.fed} are settled after {turns} turns")

    def settled(self) -> dict[AccountId, int]:
        """Return each viewer's ticks that the book holds settled."""
        return {
            one.key.account: one.settled for one in self.fixture.book.cuts.entries() if one.settled
        }

    async def reconciled(
        self, bent: Mapping[bytes, Callable[[Any], Any]] | None = None
    ) -> Reconciliation:
        """Compare the book with finalized state, some of its values `bent`.

        Nobody follows the chain here, so the book is told for this once how far it has read.
        """
        book, forks = self.fixture.book, self.world.forks
        genesis = forks.hash_at(0)
        assert genesis is not None
        cursor = Cursor(genesis, forks.finalized, forks.finalized_hash, NOW_MS // 1000)
        book.escrow.begin(cursor)
        try:
            return await reconcile(
                InlineBook(book),
                None,
                has_journal=False,
                reads=WorldReads(self.world, bent or {}),
                operator=OPERATOR.account,
            )
        finally:
            with book.streams._writing() as connection:
                connection.execute(delete(chain_cursor))

    async def check(self) -> None:
        """Everything watched is settled once, on the chain as in the book."""
        found = await self.reconciled()
        assert found.differences == ()
        assert found.is_chain_read
        assert self.settled() == self.fed
        assert self.on_chain() == self.fed
        block = self.world.forks.block(self.world.forks.finalized_hash)
        assert block is not None
        stream = block.values[storage.stream_key(self.fixture.stream.id)]
        assert stream.total_ticks == sum(self.fed.values())
        assert stream.total_amount == PRICE * sum(self.fed.values())


@asynccontextmanager
async def open_scenario(
    viewers: int = 3, *, url: str = "sqlite://", seed: int = 1, **options: Any
) -> AsyncIterator[ChainScenario]:
    """Open a scenario whose chain makes blocks on demand and has the faults that `options` name."""
    fixture = make_book(url, viewers, FEE_PPM, deposit=DEPOSIT)
    world = World(seed, now_ms=NOW_MS, funds=funds(viewers), **options)
    async with FakeNode(world, chopsticks.metadata_bytes()) as node:
        scenario = ChainScenario(fixture, world, node)
        for who, call in setup_calls(fixture.stream.id, viewers):
            scenario.do(who, call)
        world.finalize()
        try:
            yield scenario
        finally:
            for line in scenario.lines:
                await line.close()
            fixture.book.close()


def open_book(path: Path) -> Book:
    """Open a book that is there."""
    return Book.open(f"sqlite:///{path}", Asset())
