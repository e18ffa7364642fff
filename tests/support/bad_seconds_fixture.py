"""A book whose seconds are watched, settled and given back by hand, and a model of a few lines."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from metering.book.records import CoveredTicks
from metering.model import receipt_file, ticks
from metering.model.audit import audit
from metering.model.audit_records import Difference
from metering.model.bad_seconds import BadSeconds
from metering.model.ledger import Holder, Role, cost, split
from metering.ports import BatchOutcome
from metering.recovery.reconcile import read
from metering.units import AccountId, Asset, Cause, Cut, CutLine, EntryKey, Planck, Run, shard_of
from tests.support.book_fixture import OPERATOR, BookFixture

FIRST = 1_700_000_000
DEPOSIT = 10**12


@dataclass
class Model:
    """What the book is judged by: who paid what for which tick, and what is given back of it."""

    paid: dict[tuple[AccountId, int], tuple[EntryKey, int]] = field(default_factory=dict)
    settled: set[tuple[AccountId, int]] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)

    def given(self) -> set[tuple[AccountId, int]]:
        """Return every viewer's ticks that are given back: paid, settled and bad."""
        return {at for at in self.settled if at[1] in self.bad}

    def worth(self, of: Iterable[tuple[AccountId, int]], who: AccountId | None = None) -> int:
        """Return what ticks cost: all, or one viewer's."""
        return sum(self.paid[at][1] for at in of if who in {None, at[0]})


def rule(stream: UUID, first: int, last: int, key: str, by: str = "admin") -> BadSeconds:
    """Return a rule on a range, both ends in it."""
    run = Run(first, last - first + 1)
    return BadSeconds(0, key, stream, FIRST, run, "black picture", by, 1)


@dataclass
class BadSecondsFixture:
    """Watches, settles and gives back in a book, and in the model."""

    fixture: BookFixture
    model: Model = field(default_factory=Model)
    at_ms: int = 1000

    def watch(self, who: AccountId, run: Run, key: EntryKey, price: Planck) -> None:
        """Book what a viewer watched and has not paid of a range."""
        book = self.fixture.book
        seen = [Run(tick, 1) for account, tick in self.model.paid if account == who]
        fresh = ticks.difference((run,), seen)
        if not fresh:
            return
        entry = next((item for item in book.cuts.entries() if item.key == key), None)
        booked = 0 if entry is None else entry.booked
        line = CutLine(key, fresh, booked + ticks.count(fresh))
        shard = shard_of(who)
        number = book.cuts.booked_numbers().get(shard, 0) + 1
        book.cuts.book([Cut(shard, number, (line,))], self._now())
        for part in fresh:
            self.model.paid |= {(who, tick): (key, price) for tick in range(part.first, part.end)}

    def cover(self, who: AccountId, run: Run) -> None:
        """Note seconds that a cap paid for."""
        covered = CoveredTicks(who, self.fixture.stream.id, FIRST, (run,), Cause.CAP)
        self.fixture.book.covered.add([covered])

    def settle(self) -> None:
        """Make what is booked final."""
        book, paid = self.fixture.book, set(self.model.paid)
        for batch in book.settlements.seal(self._now(), 2):
            book.settlements.finalize(BatchOutcome(batch.seq, batch.hash, (), 1), self._now())
        self.model.settled = paid

    def give_back(self, first: int, last: int, key: str) -> tuple[BadSeconds, bool]:
        """Make a rule on a range, both ends in it."""
        wanted = rule(self.fixture.stream.id, first, last, key)
        made = self.fixture.book.bad_seconds.add(wanted, self._now())
        self.model.bad |= set(range(first, last + 1))
        return made

    def tidy(self) -> None:
        """Make receipts and merge what is final into history."""
        book = self.fixture.book
        book.receipts.make(OPERATOR, self._now())
        while not book.usage.roll().is_all:
            pass
        book.cuts.mark_forgotten(book.cuts.to_forget())
        book.cuts.compact()

    def differences(self) -> tuple[Difference, ...]:
        """Return what is wrong with the books."""
        return audit(read(self.fixture.book, [], has_journal=False)[0])[1]

    def check(self, paid_out: int = 0) -> None:
        """Hold the book against the model: balances, shares, receipts, and its own audit."""
        book, stream, model = self.fixture.book, self.fixture.stream, self.model
        given, balances = model.given(), book.ledger.balances()
        fee = stream.platform_fee_ppm
        platform = creator = 0
        for of, sign in ((model.settled, 1), (given, -1)):
            counts: dict[tuple[EntryKey, int], int] = {}
            for at in of:
                counts[model.paid[at]] = counts.get(model.paid[at], 0) + 1
            for (_, price), count in counts.items():
                share = split(cost(count, Planck(price)), fee)
                creator, platform = creator + sign * share[0], platform + sign * share[1]
        assert balances.get(Holder(Role.PLATFORM, stream=stream.id), 0) == platform
        mine = Holder(Role.CREATOR, stream.creator, stream.id)
        assert balances.get(mine, 0) == creator - paid_out
        earned = book.payouts.earnings(stream, Planck(0), 10**12)
        assert earned.debt == max(0, paid_out - creator)
        for who in self.fixture.accounts:
            back = model.worth(given, who)
            assert book.deposits.total(who) == DEPOSIT + back
            viewer = book.viewers.get(who)
            assert (viewer.given_back, viewer.stayed) == (back, DEPOSIT + back)
            left = DEPOSIT + back - model.worth(model.settled, who)
            assert balances[Holder(Role.VIEWER, who)] == left
            self._check_receipts(who, model.worth(model.paid, who) - back)
        assert self.differences() == ()
        rules = book.bad_seconds.page(stream.id, 100)
        assert sum(item.planck for item, _ in rules) == model.worth(given)
        assert sum(item.seconds for item, _ in rules) == len(given)

    def _check_receipts(self, who: AccountId, owed: int) -> None:
        book, stream = self.fixture.book, self.fixture.stream.id
        book.receipts.make(OPERATOR, self._now(), who)
        chain = book.receipts.of(who, stream)
        if not chain:
            assert owed == 0
            return
        data = receipt_file.file_bytes(Asset(), OPERATOR.account, chain)
        assert receipt_file.verify(data, OPERATOR.account).amount == owed

    def _now(self) -> int:
        self.at_ms += 1
        return self.at_ms


def a_run(rng: random.Random) -> Run:
    """Return some ticks; within two hours, so that history has more than one row."""
    return Run(FIRST + rng.randrange(40) + rng.choice((0, 3590)), rng.randrange(1, 20))
