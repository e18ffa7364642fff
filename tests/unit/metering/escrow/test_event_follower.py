"""The follower takes each finalized block once and works the rest out anew at every head."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.book.records import Funds
from metering.errors import (
    BlockPrunedError,
    ChainUnavailableError,
    OtherChainError,
)
from metering.escrow import event_follower
from metering.escrow.event_follower import Changed, EventFollower
from metering.units import Planck
from tests.support.block_tree import (
    OPERATOR,
    START_S,
    Blocks,
    closed,
    deposited,
    ended,
    opened,
    requested,
    withdrawn,
)
from tests.support.book_fixture import BookFixture, InlineBook, make_book

PAID = 10**12


class Follow:
    """A follower with what it was told of."""

    def __init__(self, fixture: BookFixture, blocks: Blocks, cap: int = 10**9, from_block: int = 1):
        self.told: list[Changed] = []
        self.follower = EventFollower(
            blocks,
            InlineBook(fixture.book),
            operator=OPERATOR,
            cap=Planck(cap),
            from_block=from_block,
            now_ms=lambda: START_S * 1000,
            notify=self._tell,
        )

    async def _tell(self, changed: Changed) -> None:
        self.told.append(changed)


@pytest.fixture
def fixture():
    made = make_book()
    yield made
    made.book.close()


async def test_a_deposit_is_provisional_then_final_and_told_at_both_steps(fixture):
    """The balance is reported when it changes, not at every head."""
    [ann] = fixture.accounts
    blocks = Blocks()
    made = Follow(fixture, blocks)
    await made.follower.turn()
    blocks.extend(deposited(ann, 500))
    await made.follower.turn()
    provisional = made.follower.overlay.provisional
    blocks.extend()
    await made.follower.turn()
    blocks.finalise(1)
    await made.follower.turn()

    assert provisional == {ann: 500}
    assert made.follower.overlay.provisional == {}
    in_book = fixture.book.escrow.funds([ann])[1][ann]
    assert in_book == Funds(Planck(PAID + 500), Planck(0), Planck(0))
    assert [changed.accounts for changed in made.told] == [{ann}, {ann}]
    assert blocks.asked == [1, 2], "each block is read once"


async def test_a_long_absence_is_made_up_in_batches(fixture, monkeypatch):
    """Meanwhile nothing is credited that is not final."""
    monkeypatch.setattr(event_follower, "BLOCKS_PER_TURN", 10)
    [ann] = fixture.accounts
    blocks = Blocks()
    for _ in range(25):
        blocks.extend(deposited(ann, 2))
    blocks.finalise(24)
    made = Follow(fixture, blocks)

    turns = [(await made.follower.turn(), made.follower.overlay is None) for _ in range(4)]

    assert turns == [(True, True), (True, True), (False, False), (False, False)]
    assert fixture.book.escrow.cursor().number == 24
    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 48
    assert made.follower.overlay.provisional == {ann: 2}


async def test_another_follower_goes_on_where_the_book_is(fixture):
    """Control that starts again reads no block twice into the book."""
    [ann] = fixture.accounts
    blocks = Blocks()
    blocks.extend(deposited(ann, 500))
    blocks.finalise(1)
    await Follow(fixture, blocks).follower.turn()
    blocks.extend(deposited(ann, 7))
    blocks.finalise(2)

    again = Follow(fixture, blocks)
    await again.follower.turn()

    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 507
    assert len(fixture.book.escrow.history(ann)) == 2


async def test_the_first_block_is_the_one_that_the_operator_says(fixture):
    """What came before the operator was registered is not looked at."""
    [ann] = fixture.accounts
    blocks = Blocks()
    blocks.extend(deposited(ann, 500))
    blocks.extend(deposited(ann, 7))
    blocks.finalise(2)

    await Follow(fixture, blocks, from_block=2).follower.turn()

    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 7


async def test_a_node_that_is_away_or_behind_changes_nothing(fixture):
    """The last overlay stays: its credit is within the cap, what is frozen stays frozen."""
    [ann] = fixture.accounts
    blocks = Blocks()
    blocks.extend(requested(ann, 5))
    made = Follow(fixture, blocks)
    await made.follower.turn()
    blocks.is_away = True
    with pytest.raises(ChainUnavailableError, match="away"):
        await made.follower.turn()

    assert made.follower.overlay.frozen == {ann: 5}

    blocks.is_away = False
    blocks.finalise(1)
    await made.follower.turn()
    with pytest.raises(ChainUnavailableError, match="it is behind"):
        await Follow(fixture, Blocks()).follower.turn()


async def test_a_pruned_block_is_said(fixture):
    """Nothing is passed over: the operator connects a node that has it."""
    blocks = Blocks()
    for _ in range(5):
        blocks.extend()
    blocks.finalise(5)
    blocks.pruned_below = 3

    with pytest.raises(BlockPrunedError):
        await Follow(fixture, blocks).follower.turn()

    assert fixture.book.escrow.cursor().number == 0


async def test_a_chain_that_was_begun_anew_is_refused(fixture):
    """A development chain that lost its blocks is not the one that the book knows."""
    [ann] = fixture.accounts
    blocks = Blocks()
    blocks.extend(deposited(ann, 5))
    blocks.finalise(1)
    await Follow(fixture, blocks).follower.turn()
    other = Blocks(genesis=b"\x46" * 32)
    other.extend()
    other.extend()
    other.finalise(2)

    with pytest.raises(OtherChainError):
        await Follow(fixture, other).follower.turn()

    assert fixture.book.escrow.funds([ann])[1][ann].deposited == PAID + 5


async def test_finality_that_stalls_too_long_stops_credit_and_not_the_rest(fixture, monkeypatch):
    """Above a bound nothing is credited before it is final; what is frozen stays."""
    monkeypatch.setattr(event_follower, "UNFINALIZED_MAX", 3)
    [ann] = fixture.accounts
    blocks = Blocks()
    made = Follow(fixture, blocks)
    blocks.extend(deposited(ann, 500), requested(ann, 40))
    await made.follower.turn()
    before = made.follower.overlay
    for _ in range(4):
        blocks.extend()
    await made.follower.turn()

    assert before.provisional == {ann: 500}
    assert made.follower.overlay.provisional == {}
    assert made.follower.overlay.frozen == {ann: 40}


async def test_a_join_is_told_when_it_opens_moves_and_ends(fixture):
    """Provisional joins count; one whose block was left is told as gone."""
    [ann] = fixture.accounts
    ours, blocks = fixture.stream.id, Blocks()
    made = Follow(fixture, blocks)
    blocks.extend(opened(ann, 1, ours))
    await made.follower.turn()
    blocks.extend(parent=blocks.genesis)
    blocks.extend()
    await made.follower.turn()
    blocks.extend(opened(ann, 1, ours))
    blocks.finalise(3)
    await made.follower.turn()
    blocks.extend(ended(ann, 1, ours))
    await made.follower.turn()

    key = (ours, ann)
    assert [changed.joins for changed in made.told] == [{key}] * 4
    assert [[join.number for join in changed.gone] for changed in made.told] == [[], [1], [], []]


async def test_closing_a_stream_tells_everybody_who_had_joined(fixture):
    """Seen in the best block, before it is final."""
    [ann] = fixture.accounts
    ours, blocks = fixture.stream.id, Blocks()
    made = Follow(fixture, blocks)
    blocks.extend(opened(ann, 1, ours))
    blocks.finalise(1)
    await made.follower.turn()
    blocks.extend(closed(ours))
    await made.follower.turn()

    assert made.told[-1].joins == {(ours, ann)}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    moves=st.lists(st.sampled_from("ppmmmmrft"), min_size=10, max_size=60),
)
async def test_whatever_the_chain_does_the_book_ends_where_it_does(seed, moves):
    """Forks 1 to 20 deep, restarts, any heads: sums are the finalized chain's, within the cap."""
    rng = random.Random(seed)
    fixture, blocks = make_book(viewers=3), Blocks()
    made = Follow(fixture, blocks, cap=1000)
    for move in moves:
        viewer = rng.choice(fixture.accounts)
        if move == "p":
            make = rng.choice((deposited, requested, withdrawn))
            blocks.pool.append(make(viewer, rng.randrange(1, 800)))
        elif move == "m":
            blocks.mine(rng)
        elif move == "r":
            blocks.reorganise(rng.randint(1, 20), rng)
        elif move == "f":
            blocks.finalise(blocks.by_hash[blocks.finalized].number + rng.randint(0, 5))
        else:
            made = Follow(fixture, blocks, cap=1000)
        await made.follower.turn()
        overlay = made.follower.overlay
        assert overlay.base.number == fixture.book.escrow.cursor().number
        assert sum(overlay.provisional.values()) <= 1000
    blocks.finalise(10**9)
    await made.follower.turn()

    for account in fixture.accounts:
        sums = dict.fromkeys(("EscrowDeposited", "EscrowWithdrawn"), 0)
        asked = 0
        for event in (one for block in blocks.path(blocks.best) for one in block.events):
            if event.fields["viewer"] == account:
                asked = {"WithdrawRequested": event.fields["amount"], "EscrowWithdrawn": 0}.get(
                    event.name, asked
                )
                if event.name in sums:
                    sums[event.name] += event.fields["amount"]
        paid, out = sums.values()
        assert fixture.book.escrow.funds([account])[1][account] == Funds(
            Planck(PAID + paid), Planck(out), Planck(asked)
        )
    assert sum(fixture.book.ledger.balances().values()) == 0
    assert made.follower.overlay.accounts == frozenset()
    fixture.book.close()
