"""The follower takes each finalized block once and works the rest out anew at every head."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.book.records import Funds
from metering.chain.node import storage
from metering.errors import (
    BlockPrunedError,
    ChainUnavailableError,
    OtherChainError,
)
from metering.escrow import event_follower
from metering.escrow.event_follower import Changed, EventFollower
from metering.escrow.node_events import NodeEvents
from metering.model.escrow_events import EventBlock
from metering.testing.fake_node.forks import STATES_KEPT
from metering.testing.fake_node.tables import Call
from metering.units import Planck
from tests.support.book_fixture import OPERATOR, BookFixture, InlineBook, make_book
from tests.support.chain_scenario import NOW_MS, join_call
from tests.support.examples import examples
from tests.support.inline_chain import InlineChain, InlineNode, make_chain
from tests.support.wallet import account, of_stream

PAID = 10**12
HOUR_S = 3600
START = 2
"""The block after those that set the chain up."""


class RecordedEvents(NodeEvents):
    """The node's events, and the numbers of the blocks that were read."""

    def __init__(self, node: InlineNode) -> None:
        super().__init__(node)
        self.numbers: list[int] = []

    async def block(self, block_hash: bytes) -> EventBlock:
        block = await super().block(block_hash)
        self.numbers.append(block.number)
        return block


class Follow:
    """A follower of a chain from the block after its setup, with what it announced."""

    def __init__(
        self, fixture: BookFixture, chain: InlineChain, cap: int = 10**9, start: int = START
    ) -> None:
        self.changes: list[Changed] = []
        self.events = RecordedEvents(chain.node)
        self.follower = EventFollower(
            self.events,
            InlineBook(fixture.book),
            operator=OPERATOR.account,
            cap=Planck(cap),
            from_block=start,
            now_ms=lambda: NOW_MS,
            notify=self._notify,
        )

    async def _notify(self, changed: Changed) -> None:
        self.changes.append(changed)


def begun(fixture: BookFixture, seed: int = 1) -> InlineChain:
    """Return a chain with a stream, and nobody who has paid in; nothing more becomes final."""
    chain = make_chain(fixture, absent=len(fixture.accounts), seed=seed)
    assert chain.world.forks.finalized == START - 1
    chain.world.stall()
    return chain


def deposit(planck: int) -> Call:
    return of_stream("deposit", operator=OPERATOR.account, amount=planck)


def request(planck: int) -> Call:
    return of_stream("request_withdraw", operator=OPERATOR.account, amount=planck)


def withdraw(_planck: int) -> Call:
    """Return the withdrawal of what notice was given for: it fails before the notice is over."""
    return of_stream("withdraw_escrow", operator=OPERATOR.account)


ANN = account("viewer 0")
CREATOR = account("creator")


def put(chain: InlineChain, *calls: Call) -> None:
    """Make a block of Ann's calls."""
    for call in calls:
        chain.submit(ANN, call)
    chain.make_block()


def retract(chain: InlineChain) -> None:
    """Replace the newest block by two that hold nothing of it."""
    chain.world.faults.set({"lose": 1})
    assert chain.world.reorg(1) == 1
    chain.world.faults.set({})
    chain.nonces.clear()


@pytest.fixture
def fixture():
    made = make_book()
    yield made
    made.book.close()


@pytest.fixture
def chain(fixture):
    return begun(fixture)


async def test_a_deposit_is_provisional_then_final_and_announced_at_both_steps(fixture, chain):
    """The balance is announced when it changes, not at every head."""
    [ann] = fixture.accounts
    made = Follow(fixture, chain)
    await made.follower.turn()
    put(chain, deposit(500))
    await made.follower.turn()
    provisional = made.follower.overlay.provisional
    chain.make_block()
    await made.follower.turn()
    chain.world.finalize(START)
    await made.follower.turn()

    assert provisional == {ann: 500}
    assert made.follower.overlay.provisional == {}
    assert fixture.book.escrow.funds([ann])[1][ann] == Funds(
        Planck(PAID + 500), Planck(0), Planck(0)
    )
    assert [changed.accounts for changed in made.changes] == [{ann}, {ann}]
    assert made.events.numbers == [START, START + 1], "each block is read once"


async def test_a_long_absence_is_made_up_in_batches(fixture, chain, monkeypatch):
    """Meanwhile nothing is credited that is not final."""
    monkeypatch.setattr(event_follower, "BLOCKS_PER_TURN", 10)
    [ann] = fixture.accounts
    for _ in range(25):
        put(chain, deposit(2))
    chain.world.finalize(START + 23)
    made = Follow(fixture, chain)

    turns = [(await made.follower.turn(), made.follower.overlay is None) for _ in range(4)]

    assert turns == [(True, True), (True, True), (False, False), (False, False)]
    assert fixture.book.escrow.cursor().number == START + 23
    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 48
    assert made.follower.overlay.provisional == {ann: 2}


async def test_another_follower_goes_on_where_the_book_is(fixture, chain):
    """Control that starts again reads no block twice into the book."""
    [ann] = fixture.accounts
    put(chain, deposit(500))
    chain.world.finalize()
    await Follow(fixture, chain).follower.turn()
    put(chain, deposit(7))
    chain.world.finalize()

    again = Follow(fixture, chain)
    await again.follower.turn()

    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 507
    assert len(fixture.book.escrow.history(ann)) == 2


async def test_the_first_block_is_the_one_that_the_operator_names(fixture, chain):
    """What came before the operator was registered is not looked at."""
    [ann] = fixture.accounts
    put(chain, deposit(500))
    put(chain, deposit(7))
    chain.world.finalize()

    await Follow(fixture, chain, start=START + 1).follower.turn()

    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 7


async def test_a_node_that_is_away_or_behind_changes_nothing(fixture, chain):
    """The last overlay stays: its credit is within the cap, what is frozen stays frozen."""
    [ann] = fixture.accounts
    put(chain, deposit(5), request(5))
    made = Follow(fixture, chain)
    await made.follower.turn()
    chain.node.is_away = True
    with pytest.raises(ChainUnavailableError, match="does not answer"):
        await made.follower.turn()

    assert made.follower.overlay.frozen == {ann: 5}

    chain.node.is_away = False
    chain.world.finalize()
    await made.follower.turn()
    with pytest.raises(ChainUnavailableError, match="it is behind"):
        await Follow(fixture, begun(fixture)).follower.turn()


async def test_a_block_that_the_node_pruned_is_named(fixture, chain):
    """Nothing is passed over: the operator connects a node that has it."""
    chain.make_block(STATES_KEPT + 3)
    chain.world.finalize()

    with pytest.raises(BlockPrunedError, match=f"block {START},"):
        await Follow(fixture, chain).follower.turn()

    assert fixture.book.escrow.cursor().number == START - 1


async def test_a_chain_that_was_begun_anew_is_refused(fixture, chain):
    """A development chain that lost its blocks is not the one that the book knows."""
    [ann] = fixture.accounts
    put(chain, deposit(5))
    chain.world.finalize()
    await Follow(fixture, chain).follower.turn()
    other = begun(fixture, seed=2)
    other.make_block(2)
    other.world.finalize()

    with pytest.raises(OtherChainError):
        await Follow(fixture, other).follower.turn()

    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 5


async def test_finality_that_stalls_too_long_stops_credit_and_not_the_rest(
    fixture, chain, monkeypatch
):
    """Above a bound nothing is credited before it is final; what is frozen stays."""
    monkeypatch.setattr(event_follower, "UNFINALIZED_MAX", 3)
    [ann] = fixture.accounts
    made = Follow(fixture, chain)
    put(chain, deposit(500), request(40))
    await made.follower.turn()
    before = made.follower.overlay
    chain.make_block(4)
    await made.follower.turn()

    assert before.provisional == {ann: 500}
    assert made.follower.overlay.provisional == {}
    assert made.follower.overlay.frozen == {ann: 40}


async def test_a_join_is_announced_when_it_opens_moves_and_ends(fixture, chain):
    """Provisional joins count; one whose block was left is announced as gone."""
    [ann] = fixture.accounts
    ours = fixture.stream.id
    made = Follow(fixture, chain)
    put(chain, join_call(ours))
    await made.follower.turn()
    retract(chain)
    await made.follower.turn()
    put(chain, join_call(ours))
    chain.world.finalize()
    await made.follower.turn()
    put(chain, of_stream("leave_stream", stream_id=ours.int))
    await made.follower.turn()

    key = (ours, ann)
    assert [changed.joins for changed in made.changes] == [{key}] * 4
    assert [[join.number for join in changed.gone] for changed in made.changes] == [[], [1], [], []]


async def test_closing_a_stream_announces_everybody_who_had_joined(fixture, chain):
    """Seen in the best block, before it is final."""
    [ann] = fixture.accounts
    ours = fixture.stream.id
    made = Follow(fixture, chain)
    put(chain, join_call(ours))
    chain.world.finalize()
    await made.follower.turn()
    chain.submit(CREATOR, of_stream("close_stream", stream_id=ours.int))
    chain.make_block()
    await made.follower.turn()

    assert made.changes[-1].joins == {(ours, ann)}


@examples(40)
@given(
    seed=st.integers(0, 2**32),
    moves=st.lists(st.sampled_from("ppmmmmrft"), min_size=10, max_size=60),
)
async def test_whatever_the_chain_does_the_book_ends_where_it_does(seed, moves):
    """Forks 1 to 20 deep, restarts, any heads: sums are the finalized chain's, within the cap."""
    rng = random.Random(seed)
    fixture = make_book(viewers=3)
    chain = begun(fixture)
    made = Follow(fixture, chain, cap=1000)
    for move in moves:
        if move == "p":
            viewer = account(f"viewer {rng.randrange(3)}")
            call = rng.choice((deposit, request, withdraw))(rng.randrange(1, 800))
            chain.submit(viewer, call)
        elif move == "m":
            chain.world.faults.set({"empty": 0.5})
            chain.make_block()
            chain.world.faults.set({})
        elif move == "r":
            chain.world.reorg(rng.randint(1, 20))
        elif move == "f":
            chain.world.finalize(chain.world.forks.finalized + rng.randint(0, 5))
        else:
            chain.world.travel(chain.now_ms() + HOUR_S * 1000)
            made = Follow(fixture, chain, cap=1000)
        await made.follower.turn()
        overlay = made.follower.overlay
        assert overlay.base.number == fixture.book.escrow.cursor().number
        assert sum(overlay.provisional.values()) <= 1000
    chain.make_block()
    chain.world.finalize()
    await made.follower.turn()

    values = chain.world.forks.head.values
    for who in fixture.accounts:
        escrow = values.get(storage.escrow_key(OPERATOR.account, who), storage.Escrow(0, None))
        asked = escrow.withdrawal.amount if escrow.withdrawal else 0
        funds = fixture.book.escrow.funds([who])[1][who]
        assert (funds.net - PAID, funds.frozen) == (escrow.held, asked)
    assert sum(fixture.book.ledger.balances().values()) == 0
    assert made.follower.overlay.accounts == frozenset()
    fixture.book.close()
