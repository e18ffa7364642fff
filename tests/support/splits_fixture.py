"""A book whose stream is shared by tables, watched and settled by hand, and a model by second."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from metering.errors import InvalidValueError
from metering.model import statement
from metering.model.ledger import PPM, Holder, Role, Share, Shares
from metering.model.named_prices import prices_of
from metering.model.passes import Pass, PassKind, PassOffer
from metering.model.price import priced_runs
from metering.units import AccountId, EntryKey, Planck, Run
from tests.support.bad_seconds_fixture import DEPOSIT, FIRST, BadSecondsFixture
from tests.support.book_fixture import make_book

PAYEES: Final = tuple(AccountId(bytes([200 + number]) * 32) for number in range(9))


def random_shares(rng: random.Random, fee_ppm: int) -> Shares:
    """Return some payees who get at most what the platform leaves, often all of it."""
    left, shares = PPM - fee_ppm, []
    for account in rng.sample(PAYEES, rng.randrange(0, 8)):
        ppm = min(left, rng.choice((1, rng.randrange(1, PPM), PPM // 3, left or 1)))
        if ppm:
            shares.append(Share(account, ppm))
            left -= ppm
    return tuple(shares)


@dataclass
class SplitsFixture:
    """Goes through a life of a shared stream: what is watched is older than `now`.

    Attributes:
        tables: First second and shares, as they were set; what the model is asked.
        passes: Bought, with the shares that held then.
        paid_out: To each who earns of it.
    """

    life: BadSecondsFixture
    now: int = FIRST + 1
    tables: list[tuple[int, Shares]] = field(default_factory=list)
    passes: dict[str, tuple[Pass, Shares]] = field(default_factory=dict)
    paid_out: dict[AccountId, int] = field(default_factory=lambda: defaultdict(int))
    count: int = 0

    def table_at(self, tick: int) -> Shares:
        """Return who shares a second: of tables for the same second the last one set."""
        begun = [table for table in self.tables if table[0] <= tick]
        return max(begun, key=lambda table: table[0], default=(0, ()))[1]

    def watch(self, who: AccountId, run: Run, join: int) -> None:
        """Book what a viewer watched of a range, by the price versions that hold for them."""
        fixture = self.life.fixture
        stream = fixture.book.streams.get("talks")
        named = fixture.book.named_prices.of(stream.id).get(who, ())
        for part in priced_runs(prices_of(stream.prices, named), run, 1):
            if part.version:
                key = EntryKey(stream.id, who, join, part.version)
                self.life.watch(who, part.run, key, Planck(part.units_per_tick))

    def share(self, shares: Shares, from_tick: int) -> bool:
        """Set a table; False: a price is too little to be shared so."""
        try:
            self.life.fixture.book.splits.put("talks", shares, from_tick, self._next())
        except InvalidValueError as error:
            if "too little to be shared so" not in str(error):
                raise
            return False
        self.tables = [table for table in self.tables if table[0] != from_tick]
        self.tables.append((from_tick, shares))
        return True

    def buy(self, who: AccountId, planck: Planck) -> str:
        """Buy a pass now; return its id."""
        book, stream = self.life.fixture.book, self.life.fixture.stream
        number, shares = self._next(), self.table_at(self.now)
        offer = PassOffer(PassKind.MONTH, 0, planck)
        asked = book.passes.ask(
            who, stream, offer, show=0, idempotency_key=f"k{number}", now_ms=self.now * 1000
        )
        made = book.passes.pay(asked.id, number)
        assert book.passes.get(asked.id) == made
        self.passes[made.id] = (made, shares)
        return made.id

    def refund(self, identity: str) -> None:
        """Give a pass back."""
        self.life.fixture.book.passes.refund(identity, "wrong stream", self._next())
        del self.passes[identity]

    def pay_out(self, who: AccountId, planck: Planck) -> None:
        """Pay somebody of what the stream earned."""
        number, stream = self._next(), self.life.fixture.stream
        assert self.life.fixture.book.payouts.add(f"p{number}", stream, planck, number, who)
        self.paid_out[who] += planck

    def expected(self) -> Mapping[Holder, int]:
        """Return what each has, second by second from who shared it and what it cost."""
        stream, model = self.life.fixture.stream, self.life.model
        sums: dict[Holder, int] = defaultdict(int)

        def earn(planck: int, sign: int, shares: Shares) -> None:
            platform = planck * stream.platform_fee_ppm // PPM
            parts = {share.account: planck * share.ppm // PPM for share in shares}
            parts[stream.creator] = planck - platform - sum(parts.values())
            sums[Holder(Role.PLATFORM, stream=stream.id)] += sign * platform
            for account, part in parts.items():
                sums[Holder(Role.CREATOR, account, stream.id)] += sign * part

        for of, sign in ((model.settled, 1), (model.given(), -1)):
            paid: dict[tuple[EntryKey, Shares], int] = defaultdict(int)
            for at in of:
                key, price = model.paid[at]
                paid[key, self.table_at(at[1])] += price
                sums[Holder(Role.VIEWER, at[0])] -= sign * price
            assert len({key for key, _ in paid}) == len(paid), "an entry is shared in two ways"
            for (_, shares), planck in paid.items():
                earn(planck, sign, shares)
        for item, shares in self.passes.values():
            earn(item.planck, 1, shares)
            sums[Holder(Role.VIEWER, item.account)] -= item.planck
        for account, planck in self.paid_out.items():
            sums[Holder(Role.CREATOR, account, stream.id)] -= planck
        for account in self.life.fixture.accounts:
            sums[Holder(Role.VIEWER, account)] += DEPOSIT
        return sums

    def check(self) -> None:
        """Hold the book against the model: balances, earnings, statements, and its own audit."""
        book, stream = self.life.fixture.book, self.life.fixture.stream
        balances, expected = book.ledger.balances(), self.expected()
        for holder in {*balances, *expected} - {Holder(Role.OUTSIDE)}:
            assert balances.get(holder, 0) == expected.get(holder, 0), holder
        month = statement.bounds_of("2026-11")[1]
        for account in {stream.creator, *book.splits.payees(stream.id)}:
            have = expected.get(Holder(Role.CREATOR, account, stream.id), 0)
            earned = book.payouts.earnings(stream, Planck(0), 10**15, account)
            assert earned.available - earned.debt == have
            assert earned.paid_out == self.paid_out.get(account, 0)
            assert have + earned.paid_out >= 0
            _, lines, closing = statement.sums_of(
                book.payouts.moves(stream, month, account), "2026-11", {}
            )
            assert closing == have
            assert all(line.gross - line.fee - line.others == line.planck for line in lines)
        assert self.life.differences() == ()

    def _next(self) -> int:
        self.count += 1
        return self.count


def make_splits(fee_ppm: int, price: Planck, viewers: int = 3) -> SplitsFixture:
    """Return a stream that nobody shares yet."""
    return SplitsFixture(
        BadSecondsFixture(make_book("sqlite://", viewers, fee_ppm, price, DEPOSIT))
    )
