"""Split tables in any order of watching, settling, changing, refunding and paying out.

A life is a random sequence of these. It is judged by a model that knows which table each second
fell under, and by a chain: the fake one, which does what the runtime does
(tests/contract/test_fake_is_the_runtime.py).
"""

from __future__ import annotations

import hashlib
import os
import random
from collections import defaultdict
from contextlib import suppress
from typing import Final
from uuid import UUID

import pytest

from metering.chain.node.scale import Hash, vector
from metering.chain.node.storage import (
    ChainPrice,
    ChainSession,
    Escrow,
    StreamInfo,
    credit_key,
    escrow_key,
    outcome_key,
    session_key,
    stream_key,
)
from metering.errors import InvalidValueError
from metering.escrow import calls
from metering.model.ledger import Role, Settled, Shares, settlement_postings
from metering.model.splits import price_fault
from metering.testing.fake_node import balances, tables
from metering.testing.fake_node.balances import Turn
from metering.testing.fake_node.settle import settle
from metering.testing.fake_node.tables import ENTRY, Entry
from metering.units import AccountId, EntryKey, Planck, Run
from tests.support.bad_seconds_fixture import FIRST
from tests.support.pallet_scenario import make_pallet_scenario
from tests.support.splits_fixture import PAYEES, make_splits, random_shares

SEQUENCES: Final = int(os.environ.get("VILOKANAM_SEQUENCES", "2000"))
"""`make soak` asks for 10,000."""
SEED: Final = int(os.environ["VILOKANAM_SEED"])
"""Printed at the head of each run by tests/conftest.py."""
ROWS_SHARE: Final = 100
"""Of the sequences one in so many goes through a book; the others through its rule and a chain."""
FEES: Final = (0, 1, 99_999, 100_000, 333_333, 999_999, 1_000_000)
PRICES: Final = (1, 7, 100, 999, 10**6, 10**8, 10**8 + 1, 123_456_789)
TICKS_MAX: Final = 900
VERSIONS: Final = 4


def live(rng: random.Random) -> None:
    """Go through one life in a book."""
    fixture = make_splits(rng.choice(FEES), Planck(rng.choice(PRICES)))
    book, life = fixture.life.fixture.book, fixture.life
    stream = life.fixture.stream
    if rng.random() < 0.5:
        fixture.share(random_shares(rng, stream.platform_fee_ppm), 0)
    for step in range(25):
        who = rng.choice(life.fixture.accounts)
        last = book.streams.get("talks").prices[-1].from_tick
        ahead = max(last, fixture.now + 1) + rng.randrange(6)
        match rng.randrange(12):
            case 0 | 1 | 2 | 3:
                first = rng.randrange(FIRST, fixture.now)
                run = Run(first, rng.randrange(1, fixture.now - first + 1))
                fixture.watch(who, run, rng.randrange(1, 3))
            case 4:
                life.settle()
            case 5 | 6:
                fixture.share(random_shares(rng, stream.platform_fee_ppm), ahead)
            case 7:
                with suppress(InvalidValueError):
                    price = Planck(rng.choice(PRICES))
                    if rng.random() < 0.5:
                        book.streams.add_price("talks", price, ahead + 1)
                    else:
                        named = rng.choice((price, Planck(0), None))
                        tick = fixture.now + rng.randrange(1, 9)
                        book.named_prices.add(stream.id, who, named, tick)
            case 8:
                life.give_back(rng.randrange(FIRST, fixture.now), fixture.now, f"r{step}")
            case 9:
                identity = fixture.buy(who, Planck(rng.randrange(1, 10**6)))
                if rng.random() < 0.5:
                    fixture.refund(identity)
            case 10:
                earner = rng.choice((stream.creator, *book.splits.payees(stream.id)))
                fixture.pay_out(earner, Planck(rng.randrange(1, 10**6)))
            case _:
                life.tidy()
        fixture.now += rng.randrange(1, 12)
    fixture.check()
    life.settle()
    life.tidy()
    fixture.check()
    book.close()


@pytest.mark.timeout(300 + SEQUENCES // 5)
def test_each_second_is_shared_by_the_table_that_held_for_it() -> None:
    """Late seconds, prices of one viewer, passes, what goes back: to the planck, by the model."""
    for number in range(max(SEQUENCES // ROWS_SHARE, 1)):
        try:
            live(random.Random(SEED + number))
        except AssertionError as error:
            raise AssertionError(f"VILOKANAM_SEED={SEED + number}: {error}") from error


def random_stream(rng: random.Random) -> tuple[int, Shares, tuple[Planck, ...]]:
    """Return fee, payees and the prices of a stream that a book takes."""
    fee = rng.choice((*FEES, rng.randrange(1_000_001)))
    while True:
        shares = random_shares(rng, fee)
        drawn = (*(rng.choice(PRICES) for _ in range(VERSIONS)), rng.randrange(1, 10**9))
        prices = tuple(Planck(one) for one in drawn if not price_fault(shares, fee, Planck(one)))
        if prices:
            return fee, shares, prices


@pytest.mark.timeout(300 + SEQUENCES // 5)
def test_book_and_chain_agree_to_the_planck() -> None:
    """Random tables and price versions, settled in random steps: each payee has the same in both.

    One batch of the chain holds steps of all streams; each stream has a creator of its own.
    """
    scenario = make_pallet_scenario(viewers=2)
    operator, viewers = scenario.operator.account, [one.account for one in scenario.viewers]
    rng, state = random.Random(SEED), scenario.state
    for viewer in viewers:
        state.put(escrow_key(operator, viewer), Escrow(10**30, None))
        balances._set_held(state, viewer, tables.HOLD_ESCROW, 10**30)
    names = [("VILOKANAM_SEED", SEED), ("streams", SEQUENCES)]
    streams: dict[UUID, tuple[AccountId, int, Shares, tuple[Planck, ...]]] = {}
    booked: dict[AccountId, int] = defaultdict(int)
    for number in range(1, SEQUENCES + 1):
        fee, shares, prices = random_stream(rng)
        stream, creator = UUID(int=1000 + number), AccountId(number.to_bytes(32, "big"))
        splits = calls.splits_of(operator, fee, shares)
        versions = tuple(ChainPrice(at + 1, price, 0) for at, price in enumerate(prices))
        info = StreamInfo(creator, operator, b"", versions, splits, 0, None, 0, 0, 0, 0)
        state.put(stream_key(stream), info)
        for viewer in viewers:
            session = ChainSession(10**30, 10**10, 0, 2**40, None, 0, 0, ())
            state.put(session_key(stream, viewer, 1), session)
        streams[stream] = (creator, fee, shares, prices)
    counts: dict[EntryKey, int] = defaultdict(int)
    for seq in range(1, 7):
        entries, moved = [], []
        for stream, (creator, fee, shares, prices) in streams.items():
            version = rng.randrange(len(prices)) + 1
            key = EntryKey(stream, rng.choice(viewers), 1, version)
            before, after = counts[key], counts[key] + rng.choice((1, 2, rng.randrange(TICKS_MAX)))
            counts[key] = after
            entries.append(Entry(stream.int, key.account, 1, version, after))
            price = prices[version - 1]
            moved.append(Settled(key, before, after, price, fee, creator, shares))
        for posting in settlement_postings(moved):
            if posting.holder.role is not Role.VIEWER:
                booked[posting.holder.account or operator] += posting.planck
                assert posting.planck >= 0, (names, posting)
        turn = Turn(state, scenario.world.forks.head.number, 2**31)
        content = vector(ENTRY).encode(tuple(entries))
        hash_ = Hash(hashlib.blake2b(content, digest_size=32).digest())
        settle(turn, operator, seq=seq, hash=hash_, entries=tuple(entries))
        assert state.get(outcome_key(operator, seq)).refused == (), names
    payees = {operator, *PAYEES, *(creator for creator, *_ in streams.values())}
    for payee in payees:
        credit = state.get(credit_key(payee))
        have = credit.available + credit.pending + credit.maturing if credit else 0
        assert have == booked[payee], (names, payee.hex())
