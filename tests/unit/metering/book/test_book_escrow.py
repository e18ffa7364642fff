"""The book takes each finalized event once, with the cursor, and its postings balance."""

from __future__ import annotations

import pytest

from metering.book.records import Cursor, Funds
from metering.errors import OtherChainError
from metering.model.join_caps import JoinLimits
from metering.model.ledger import Holder, Role
from metering.units import AccountId, Planck, shard_of
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
from tests.support.book_fixture import BookFixture, make_book

NEW = AccountId(b"\x77" * 32)
PAID = 10**12
"""What `make_book` books for each viewer."""


@pytest.fixture
def fixture():
    made = make_book()
    yield made
    made.book.close()


@pytest.fixture
def blocks(fixture: BookFixture):
    made = Blocks()
    fixture.book.escrow.begin(Cursor(made.genesis, 0, made.genesis, START_S))
    return made


def _take(fixture: BookFixture, blocks: Blocks):
    return fixture.book.escrow.take_blocks(blocks.path(blocks.best), OPERATOR, 5)


def _funds(fixture: BookFixture, account: AccountId) -> Funds:
    return fixture.book.escrow.funds([account])[1][account]


def test_finalized_events_become_rows_and_postings_once(fixture, blocks):
    """Taken again after a crash, the same blocks change nothing."""
    [ann] = fixture.accounts
    blocks.extend(deposited(ann, 500), requested(ann, 200))
    blocks.extend(withdrawn(ann, 120))
    blocks.extend(requested(ann, 30))

    taken = _take(fixture, blocks)
    again = _take(fixture, blocks)

    assert (taken.accounts, again.accounts) == ({ann}, frozenset())
    assert fixture.book.escrow.cursor().number == 3
    assert _funds(fixture, ann) == Funds(Planck(PAID + 500), Planck(120), Planck(30))
    assert fixture.book.viewers.get(ann).withdrawn == 120
    assert fixture.book.escrow.withdrawals() == {ann: 120}
    ledger = fixture.book.ledger.balances()
    assert ledger[Holder(Role.VIEWER, ann)] == PAID + 380
    assert sum(ledger.values()) == 0
    assert [event.planck for event in fixture.book.escrow.history(ann)] == [500, 200, 120, 30]


def test_a_viewer_who_is_added_later_gets_what_they_had_paid_in(fixture, blocks):
    """Money on the chain waits for its owner; it is booked when they are known."""
    blocks.extend(deposited(NEW, 700), requested(NEW, 100))
    blocks.extend(withdrawn(NEW, 100))
    _take(fixture, blocks)

    record, _ = fixture.book.viewers.create("nora", NEW, 9)

    assert (record.deposited, record.withdrawn) == (700, 100)
    assert _funds(fixture, NEW) == Funds(Planck(700), Planck(100), Planck(0))
    assert fixture.book.ledger.balances()[Holder(Role.VIEWER, NEW)] == 600
    assert sum(fixture.book.ledger.balances().values()) == 0


def test_a_block_that_does_not_follow_is_refused_whole(fixture, blocks):
    """Another chain, or one that was begun anew, writes nothing."""
    [ann] = fixture.accounts
    blocks.extend(deposited(ann, 500))
    _take(fixture, blocks)
    other = Blocks(genesis=b"\x46" * 32)
    other.extend()
    other.extend(deposited(ann, 500))

    with pytest.raises(OtherChainError, match="connect the right node"):
        _take(fixture, other)
    with pytest.raises(OtherChainError, match="taken block 1"):
        fixture.book.escrow.begin(Cursor(other.genesis, 0, other.genesis, START_S))

    assert fixture.book.escrow.cursor().number == 1
    assert _funds(fixture, ann).deposited == PAID + 500


def test_a_gap_is_refused(fixture, blocks):
    """No block is passed over."""
    blocks.extend()
    blocks.extend()

    with pytest.raises(OtherChainError):
        fixture.book.escrow.take_blocks(blocks.path(blocks.best)[1:], OPERATOR, 5)


def test_an_amount_beyond_64_bits_and_no_whole_unit_is_kept_exactly(fixture, blocks):
    """Amounts are the viewer's choice; the book rounds none of them."""
    [ann] = fixture.accounts
    blocks.extend(deposited(ann, 2**90 + 1))
    _take(fixture, blocks)

    assert _funds(fixture, ann).net == PAID + 2**90 + 1


def test_joins_are_kept_for_streams_that_are_ours(fixture, blocks):
    """Opened, joined again, left, closed: as the chain says; other streams are passed over."""
    [ann] = fixture.accounts
    ours = fixture.stream.id
    blocks.extend(opened(ann, 1, ours), opened(ann, 1), opened(NEW, 1, ours))
    first = _take(fixture, blocks)
    blocks.extend(opened(ann, 2, ours, max_spend=2**128 - 1))
    _take(fixture, blocks)
    joins = fixture.book.joins.of_viewer(ann, ours)

    assert first.joins == {(ours, ann), (ours, NEW)}
    assert (joins[1].ended_s, joins[2].ended_s) == (START_S + 12, None)
    assert (joins[2].max_spend, joins[2].joined_s) == (2**128 - 1, START_S + 12)
    assert fixture.book.joins.of_shard(shard_of(ann), START_S + 12) == [joins[2]]

    blocks.extend(ended(ann, 2, ours))
    blocks.extend(closed(ours))
    last = _take(fixture, blocks)

    assert last.joins == {(ours, ann), (ours, NEW)}
    assert fixture.book.joins.of_viewer(ann, ours)[2].ended_s == START_S + 18
    assert fixture.book.joins.of_viewer(NEW, ours)[1].ended_s == START_S + 24
    assert fixture.book.joins.unended() == []


def test_what_bounds_joins_is_kept_for_a_start_without_the_node(fixture):
    """Redis can be rebuilt while the node is away."""
    limits = JoinLimits(120, 1_100_000, 8, 3600)
    none = fixture.book.joins.limits()
    fixture.book.joins.put_limits(limits)
    fixture.book.joins.put_limits(limits)

    assert none is None
    assert fixture.book.joins.limits() == limits


def test_funds_of_a_shard_name_every_viewer(fixture, blocks):
    """Who has nothing is there with nothing: recovery writes their balance too."""
    record, _ = fixture.book.viewers.create("nora", NEW, 9)
    nothing = Planck(0)

    assert fixture.book.escrow.funds_of_shard(shard_of(NEW))[record.account] == Funds(
        nothing, nothing, nothing
    )
    assert fixture.book.escrow.frozen([NEW]) == {}
