"""A book that is fed by hand, a chain in the same process, and how to settle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metering.book.book import Book
from metering.model.audit_records import Difference
from metering.model.batch_state import Action
from metering.ports import Chain
from metering.recovery.reconcile import reconcile
from metering.settings import ChainSettings
from metering.settlement.settler import Settler
from metering.units import AccountId, Cut, CutLine, Run, shard_of
from tests.support.book_fixture import (
    OPERATOR,
    BookFixture,
    InlineBook,
    know_joins,
    make_book,
)
from tests.support.chain_scenario import DEPOSIT
from tests.support.inline_chain import InlineChain, make_chain

FIRST = 1_699_999_000


@dataclass
class SettlerFixture:
    """A book, its chain, and the ticks that each viewer watched."""

    fixture: BookFixture
    chain: InlineChain
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
        booked = {entry.key: entry.booked for entry in self.book.cuts.entries()}
        key = self.fixture.key(viewer)
        line = CutLine(key, (Run(FIRST + before, ticks),), booked.get(key, 0) + ticks)
        shard = shard_of(who)
        number = self.book.cuts.booked_numbers().get(shard, 0) + 1
        self.book.cuts.book([Cut(shard, number, (line,))], self.fixture.clock.wall_ms)

    def settler(self, chain: Chain | None = None, **changes: Any) -> Settler:
        """Return a settler that has just started, over the fixture's chain or another."""

        async def forget() -> int:
            self.book.cuts.mark_forgotten(self.book.cuts.to_forget())
            return 0

        options = {"batch_period_s": 30, "batch_entries_max": self.entries_max} | changes
        return Settler(
            InlineBook(self.book),
            chain or self.chain.port(),
            settings=ChainSettings(**options),
            now_ms=self.fixture.clock,
            operator=OPERATOR,
            forget=forget,
        )

    async def settle(self, settler: Settler, turns: int = 12) -> None:
        """Make turns and blocks until nothing is open, so many turns at most."""
        for _ in range(turns):
            act = await settler.turn(is_due=True)
            self.chain.make_block()
            if act is Action.WAIT and self.book.outbox.oldest() is None:
                return

    async def differences(self) -> tuple[Difference, ...]:
        """Return what is wrong within the book; that the chain has other counts fails at once."""
        report = await reconcile(InlineBook(self.book), None, has_journal=False)
        moved = {entry.key: entry.settled + entry.ahead for entry in self.book.cuts.entries()}
        assert moved == self.chain.settled() == self.chain.paid()
        return report.differences


def make_settler_fixture(
    viewers: int = 6, url: str = "sqlite://", *, entries_max: int = 2
) -> SettlerFixture:
    """Return a book whose joins the chain has, with four batches in flight."""
    fixture = make_book(url, viewers=viewers, deposit=DEPOSIT)
    know_joins(fixture)
    chain = make_chain(fixture, in_flight_max=4)
    return SettlerFixture(fixture, chain, entries_max=entries_max)
