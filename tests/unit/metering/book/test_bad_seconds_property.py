"""Bad seconds in any order of watching, settling, merging, paying out and giving back.

A life is a random sequence of these; it is judged by `Model`, a few lines.
"""

from __future__ import annotations

import os
import random
from typing import Final
from uuid import UUID

import pytest

from metering.model import ticks
from metering.model.bad_seconds import back_lines
from metering.model.ledger import Role, Settled, give_back_postings, settlement_postings
from metering.units import AccountId, EntryKey, Planck, Run
from tests.support.bad_seconds_fixture import DEPOSIT, BadSecondsFixture, a_run
from tests.support.book_fixture import make_book

SEQUENCES: Final = int(os.environ.get("VILOKANAM_SEQUENCES", "2000"))
"""`make soak` asks for 100,000."""
SEED: Final = int(os.environ["VILOKANAM_SEED"])
"""Printed at the head of each run by tests/conftest.py."""
ROWS_SHARE: Final = 40
"""Of the sequences one in so many goes through the book; the others through its rule alone."""
VIEWERS: Final = 3
STEPS: Final = 12


def live(rng: random.Random) -> None:
    """Go through one life in a book."""
    fee = rng.choice((0, 1, 99_999, 333_333, 999_999, 1_000_000))
    price = Planck(rng.choice((1, 3, 10**8 + 1)))
    fixture = make_book("sqlite://", VIEWERS, fee, price, DEPOSIT)
    book, stream = fixture.book, fixture.stream.id
    life, prices, paid_out, rules = BadSecondsFixture(fixture), {1: price}, 0, 0
    for step in range(STEPS):
        who = rng.choice(fixture.accounts)
        match rng.randrange(10):
            case 0 | 1 | 2 | 3:
                version = rng.choice(list(prices))
                key = EntryKey(stream, who, rng.randrange(1, 3), version)
                life.watch(who, a_run(rng), key, prices[version])
            case 4 | 5:
                life.settle()
            case 6:
                run = a_run(rng)
                made, is_new = life.give_back(run.first, run.end - 1, f"r{rules}")
                assert is_new
                again, is_new = life.give_back(run.first, run.end - 1, f"r{rules}")
                assert (again, is_new) == (made, False)
                rules += 1
            case 7:
                life.tidy()
            case 8:
                other = Planck(rng.randrange(1, 10**9))
                if rng.random() < 0.5:
                    number = book.streams.add_price("talks", other, 10**10 + step).number
                else:
                    named = book.named_prices.add(stream, who, other, 10**10 + step)
                    assert named.version is not None
                    number = named.version
                prices[number] = other
            case _:
                amount = Planck(rng.randrange(1, 10**9))
                book.payouts.add(f"p{step}", fixture.stream, amount, step)
                paid_out += amount
    life.check(paid_out)
    life.settle()
    life.tidy()
    life.check(paid_out)
    book.close()


@pytest.mark.timeout(120 + SEQUENCES // 20)
def test_who_paid_for_bad_seconds_has_them_back_once_and_the_books_agree() -> None:
    """Late ticks, overlapping ranges, prices of anybody, before and after a batch or a payout."""
    for life in range(max(SEQUENCES // ROWS_SHARE, 1)):
        try:
            live(random.Random(SEED + life))
        except AssertionError as error:
            raise AssertionError(f"VILOKANAM_SEED={SEED + life}: {error}") from error


@pytest.mark.timeout(120 + SEQUENCES // 100)
def test_each_tick_goes_back_once_in_the_shares_in_which_it_came() -> None:
    """However ranges overlap and ticks come: what is left of an entry is what the rest cost."""
    for life in range(SEQUENCES):
        rng = random.Random(SEED + life)
        accounts = [AccountId(bytes([n]) * 32) for n in range(VIEWERS)]
        stream = make_stream(rng)
        fee, price = rng.randrange(1_000_001), Planck(rng.randrange(1, 10**9))
        settled: dict[EntryKey, ticks.Runs] = {}
        given: dict[EntryKey, ticks.Runs] = {}
        rules: list[tuple[int, Run]] = []
        sums: dict[Role, int] = dict.fromkeys(Role, 0)
        for number in range(rng.randrange(2, 8)):
            key = EntryKey(stream, rng.choice(accounts), 1, 1)
            run = a_run(rng)
            if rng.random() < 0.6:
                before = settled.get(key, ())
                settled[key] = ticks.union(before, (run,))
                moved = settlement_postings([change(key, before, settled[key], price, fee)])
                fresh, now = {key: ticks.difference(settled[key], before)}, rules
            else:
                rules.append((number, run))
                moved, fresh, now = (), settled, rules[-1:]
            had = {account: given.get(EntryKey(stream, account, 1, 1), ()) for account in accounts}
            for line in back_lines(now, fresh, had):
                before = given.get(line.key, ())
                assert not ticks.intersection(before, line.runs)
                given[line.key] = ticks.union(before, line.runs)
                moved += give_back_postings([change(line.key, before, given[line.key], price, fee)])
            for posting in moved:
                sums[posting.holder.role] += posting.planck
        bad = ticks.normal(run for _, run in rules)
        for key, runs in settled.items():
            assert given.get(key, ()) == ticks.intersection(runs, bad), f"life {SEED + life}"
        left = sum(ticks.count(ticks.difference(runs, bad)) for runs in settled.values())
        assert sums[Role.VIEWER] == -left * price
        assert min(sums[Role.CREATOR], sums[Role.PLATFORM]) >= 0


def make_stream(rng: random.Random) -> UUID:
    return UUID(int=rng.getrandbits(128))


def change(
    key: EntryKey, before: ticks.Runs, after: ticks.Runs, price: Planck, fee: int
) -> Settled:
    return Settled(key, ticks.count(before), ticks.count(after), price, fee, AccountId(b"c" * 32))
