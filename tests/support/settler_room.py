"""A settler with several batches in flight over the chain in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metering.book.book import Book
from metering.model.audit import Difference
from metering.recovery.reconcile import reconcile
from metering.settings import ChainSettings
from metering.settlement.settler import Settler
from metering.units import AccountId, Cut, CutLine, EntryKey, Run, shard_of
from tests.support.book_fixture import (
    OPERATOR,
    BookFixture,
    InlineBook,
    know_joins,
    make_book,
)
from tests.support.memory_chain import MemoryChain

FIRST = 1_699_999_000


@dataclass
class Room:
    """A book that is fed by hand, a chain, and how to settle."""

    fixture: BookFixture
    chain: MemoryChain
    counts: dict[AccountId, int] = field(default_factory=dict)
    entries_max: int = 2

    @property
    def book(self) -> Book:
        return self.fixture.book

    def watch(self, viewer: int, ticks: int) -> None:
        """Book what a viewer watched, each tick a new one."""
        who = self.fixture.accounts[viewer]
        before = self.counts.get(who, 0)
        self.counts[who] = before + ticks
        booked = {one.key: one.booked for one in self.book.cuts.entries()}
        key = EntryKey(self.fixture.stream.id, who, 1, 1)
        line = CutLine(key, (Run(FIRST + before, ticks),), booked.get(key, 0) + ticks)
        shard = shard_of(who)
        number = self.book.cuts.booked_numbers().get(shard, 0) + 1
        self.book.cuts.book([Cut(shard, number, (line,))], self.fixture.clock.wall_ms)

    def settler(self, **changes: Any) -> Settler:
        async def forget() -> int:
            self.book.cuts.mark_forgotten(self.book.cuts.to_forget())
            return 0

        options = {"batch_period_s": 30, "batch_entries_max": self.entries_max} | changes
        return Settler(
            InlineBook(self.book),
            self.chain,
            settings=ChainSettings(**options),
            now_ms=self.fixture.clock,
            operator=OPERATOR,
            forget=forget,
        )

    async def settle(self, settler: Settler, turns: int = 12) -> None:
        for _ in range(turns):
            await settler.turn(is_due=True)
            self.chain.make_blocks()

    async def differences(self) -> tuple[Difference, ...]:
        """Return what is wrong within the book; that the chain has other counts fails at once."""
        found = await reconcile(InlineBook(self.book), None, has_journal=False)
        moved = {one.key: one.settled + one.ahead for one in self.book.cuts.entries()}
        assert moved == self.chain.settled_ticks
        return found.differences


def make_room(viewers: int = 6, url: str = "sqlite://", **options: Any) -> Room:
    chain = MemoryChain(in_flight_max=4)
    chain.keeps_entries = True
    fixture = make_book(url, viewers=viewers)
    know_joins(fixture)
    return Room(fixture, chain, **options)
