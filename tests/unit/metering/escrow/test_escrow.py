"""Deposits, withdrawals and joins from the chain: whatever forks, the finalized chain counts."""

from __future__ import annotations

import random
from collections import defaultdict
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import InvalidValueError
from metering.model.escrow_events import (
    EscrowEvent,
    EventBlock,
    Kind,
    PalletEvent,
    escrow_events,
    frozen_after,
    join_events,
    joins_after,
    newest,
    overlaid,
)
from metering.model.escrow_overlay import overlay
from metering.units import AccountId, Planck
from tests.support.block_tree import (
    OPERATOR,
    START_S,
    STREAM,
    Blocks,
    closed,
    deposited,
    ended,
    opened,
    requested,
    withdrawn,
)
from tests.support.examples import examples

ANN, BEA = AccountId(b"\x01" * 32), AccountId(b"\x02" * 32)
VIEWERS = (ANN, BEA, AccountId(b"\x03" * 32))
CAP = Planck(1000)
FAR = Planck(10**18)


def _above(blocks: Blocks, *, cap: Planck = FAR, frozen: dict | None = None):
    base = blocks.by_hash[blocks.finalized].ref
    return overlay(
        base,
        blocks.by_hash.values(),
        blocks.by_hash[blocks.best].ref,
        operator=OPERATOR,
        frozen=frozen or {},
        cap=cap,
    )


def test_a_deposit_counts_provisionally_until_its_block_is_final():
    """A new viewer need not wait for finality, and has the money once, not twice."""
    blocks = Blocks()
    block = blocks.extend(deposited(ANN, 500))
    blocks.extend()

    before = _above(blocks)
    blocks.finalise(1)
    after = _above(blocks)

    assert before.provisional == {ANN: 500}
    assert after.provisional == {}
    [event] = escrow_events(block, OPERATOR)
    assert (event.kind, event.planck, event.reference) == (Kind.DEPOSIT, 500, "chain-1-1")


def test_a_deposit_to_another_operator_is_not_ours():
    """Only escrows with this operator's account are money here."""
    blocks = Blocks()
    block = blocks.extend(deposited(ANN, 500, operator=AccountId(b"\x0c" * 32)))

    assert escrow_events(block, OPERATOR) == ()
    assert _above(blocks).accounts == frozenset()


def test_a_reorganisation_moves_a_deposit_and_its_credit_is_counted_once():
    """The same deposit in another block is the same credit; left out, it is none."""
    blocks = Blocks()
    blocks.extend(deposited(ANN, 500))
    first = _above(blocks)
    blocks.extend(parent=blocks.genesis)
    left_out = _above(blocks)
    blocks.extend(deposited(ANN, 500))
    moved = _above(blocks)

    assert first.provisional == moved.provisional == {ANN: 500}
    assert left_out.provisional == {}


def test_provisional_credit_of_all_viewers_stays_within_the_cap():
    """What is first in the chain is credited first; the rest waits for finality."""
    blocks = Blocks()
    blocks.extend(deposited(ANN, 700), deposited(BEA, 700))

    assert _above(blocks, cap=CAP).provisional == {ANN: 700, BEA: 300}
    assert _above(blocks, cap=Planck(0)).provisional == {}


def test_a_withdrawal_seen_in_any_block_is_frozen_at_once():
    """Even in a block that was left: it may come again, and to free it takes finality."""
    blocks = Blocks()
    blocks.extend(requested(ANN, 300))
    seen = _above(blocks)
    blocks.extend(parent=blocks.genesis)
    blocks.extend(requested(BEA, 10))
    left = _above(blocks)
    blocks.finalise(2)
    final = _above(blocks, frozen={BEA: Planck(10)})

    assert seen.frozen == {ANN: 300}
    assert left.frozen == {ANN: 300, BEA: 10}
    assert final.frozen == {}, "as the book says"


def test_a_request_that_is_taken_back_stays_frozen_until_that_is_final():
    """A cancellation may be reorganised away; the request may not be spent meanwhile."""
    blocks = Blocks()
    blocks.extend(requested(ANN, 0))

    assert _above(blocks, frozen={ANN: Planck(300)}).frozen == {ANN: 300}


def test_what_left_and_what_is_asked_next_are_both_frozen():
    """A withdrawal that is not final and a new request take both amounts."""
    blocks = Blocks()
    blocks.extend(withdrawn(ANN, 300))
    blocks.extend(requested(ANN, 200))

    assert _above(blocks, frozen={ANN: Planck(300)}).frozen == {ANN: 500}


def test_joining_again_leaves_the_join_before():
    """One join is open at a time; an ended one stays ended."""
    blocks = Blocks()
    events = [
        *join_events(blocks.extend(opened(ANN, 1))),
        *join_events(blocks.extend(opened(ANN, 2, max_price=5), opened(BEA, 1))),
        *join_events(blocks.extend(ended(ANN, 2))),
    ]

    joins = {(join.account, join.number): join for join in overlaid([], events)}

    assert joins[ANN, 1].ended_s == START_S + 12
    assert (joins[ANN, 2].ended_s, joins[ANN, 2].max_price) == (START_S + 18, 5)
    assert joins[BEA, 1].ended_s is None
    assert joins[ANN, 1].till_s == START_S + 12


def test_closing_a_stream_ends_the_joins_of_everybody():
    """Nobody is billed on the chain for a stream that is closed there."""
    blocks = Blocks()
    events = [
        *join_events(blocks.extend(opened(ANN, 1), opened(ANN, 1, stream=UUID(int=8)))),
        *join_events(blocks.extend(closed())),
    ]

    joins = {join.stream: join for join in overlaid([], events)}

    assert joins[STREAM].ended_s == START_S + 12
    assert joins[UUID(int=8)].ended_s is None


def test_the_newest_join_is_the_one_that_counts():
    """Numbers go up; nobody who never joined has one."""
    blocks = Blocks()
    events = join_events(blocks.extend(opened(ANN, 1), opened(ANN, 2)))

    assert newest(joins_after({}, events)).number == 2
    assert newest({}) is None


def test_an_event_of_another_pallet_is_said_plainly():
    """A runtime whose fields differ stops the follower instead of losing money."""
    blocks = Blocks()
    bad = PalletEvent(0, "EscrowDeposited", {"viewer": ANN, "operator": OPERATOR, "sum": 5})
    block = blocks.extend(bad)

    with pytest.raises(InvalidValueError, match="EscrowDeposited has amount = None"):
        escrow_events(block, OPERATOR)


def test_a_branch_that_is_not_known_down_to_the_finalized_block_is_refused():
    """No credit is made of half a branch."""
    blocks = Blocks()
    blocks.extend(deposited(ANN, 5))
    known = blocks.extend()

    with pytest.raises(InvalidValueError, match="branch is not known"):
        overlay(
            blocks.by_hash[blocks.genesis].ref,
            [known],
            known.ref,
            operator=OPERATOR,
            frozen={},
            cap=CAP,
        )


@examples(150)
@given(
    seed=st.integers(0, 2**32),
    moves=st.lists(st.sampled_from("ppmmmrf"), min_size=5, max_size=60),
)
def test_any_heads_and_forks_end_in_what_the_finalized_chain_says(seed, moves):
    """Forks 1 to 20 deep, in any order: nothing counted twice, nothing above the cap."""
    rng = random.Random(seed)
    blocks = Blocks()
    paid: dict[AccountId, int] = defaultdict(int)
    seen: dict[bytes, EventBlock] = {}
    taken = 0
    final: dict[str, EscrowEvent] = {}
    frozen: dict[AccountId, Planck] = {}

    for move in [*moves, "m", "f"]:
        if move == "p":
            viewer, amount = rng.choice(VIEWERS), rng.randrange(1, 800)
            make = rng.choice((deposited, deposited, requested, withdrawn))
            paid[viewer] += amount if make is deposited else 0
            blocks.pool.append(make(viewer, amount))
        elif move == "m":
            blocks.mine(rng)
        elif move == "r":
            blocks.reorganise(rng.randint(1, 20), rng)
        else:
            number = blocks.by_hash[blocks.finalized].number + rng.randint(0, 5)
            blocks.finalise(number)
        # What a follower does at each head.
        path = blocks.path(blocks.best)
        height = blocks.by_hash[blocks.finalized].number
        for block in path[taken:height]:
            for event in escrow_events(block, OPERATOR):
                assert event.reference not in final
                final[event.reference] = event
                frozen[event.account] = frozen_after(frozen.get(event.account, Planck(0)), event)
        taken = height
        seen |= {block.hash: block for block in path[height:]}
        overlaid = overlay(
            blocks.by_hash[blocks.finalized].ref,
            seen.values(),
            blocks.by_hash[blocks.best].ref,
            operator=OPERATOR,
            frozen=frozen,
            cap=CAP,
        )

        assert sum(overlaid.provisional.values()) <= CAP
        credit: dict[AccountId, int] = defaultdict(int, overlaid.provisional)
        for event in final.values():
            credit[event.account] += event.planck if event.kind is Kind.DEPOSIT else 0
        assert all(credit[viewer] <= paid[viewer] for viewer in VIEWERS), "counted twice"
        on_branch = dict(frozen)
        for block in path[height:]:
            for event in escrow_events(block, OPERATOR):
                before = on_branch.get(event.account, Planck(0))
                on_branch[event.account] = frozen_after(before, event)
                at_least = on_branch[event.account]
                in_book = frozen.get(event.account, Planck(0))
                assert overlaid.frozen.get(event.account, in_book) >= at_least, "not frozen"

    blocks.finalise(10**9)
    expected: dict[AccountId, int] = defaultdict(int)
    for deposit in (event for block in blocks.path(blocks.best) for event in block.events):
        if deposit.name == "EscrowDeposited":
            expected[deposit.fields["viewer"]] += deposit.fields["amount"]
    for block in blocks.path(blocks.best)[taken:]:
        for event in escrow_events(block, OPERATOR):
            final[event.reference] = event
    sums: dict[AccountId, int] = defaultdict(int)
    for event in final.values():
        sums[event.account] += event.planck if event.kind is Kind.DEPOSIT else 0
    assert {k: v for k, v in sums.items() if v} == dict(expected)
