"""Cuts are booked once; batches, receipts and postings follow from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import (
    LedgerImbalanceError,
)
from metering.model import receipt_file
from metering.model.batch_state import BatchState
from metering.model.ledger import Holder, Role
from metering.ports import BatchOutcome
from metering.units import (
    Asset,
    Cut,
    CutLine,
    Planck,
    Run,
    shard_of,
)
from tests.support.book_fixture import OPERATOR, PRICE, make_book
from tests.support.examples import examples


def cut(fixture, number, *runs, cumulative, viewer=0, version=1):
    key = fixture.key(viewer, version=version)
    return Cut(shard_of(key.account), number, (CutLine(key, runs, cumulative),))


def test_a_cut_is_booked_once():
    """The same number again is passed over."""
    fixture = make_book()
    first = cut(fixture, 1, Run(100, 10), cumulative=10)

    assert fixture.book.cuts.book([first], 1) == 10
    assert fixture.book.cuts.book([first], 2) == 0

    shard = first.shard
    assert fixture.book.cuts.booked_number(shard) == 1
    assert fixture.book.cuts.booked_number(shard + 1) == 0
    assert fixture.book.cuts.spent(fixture.accounts[0]) == 10 * PRICE
    assert fixture.book.cuts.watched(fixture.accounts[0], fixture.stream.id) == (Run(100, 10),)


def test_a_round_is_written_whole_or_not_at_all():
    """One bad line keeps out the good one beside it."""
    fixture = make_book(viewers=2)
    good = cut(fixture, 1, Run(100, 10), cumulative=10, viewer=1)
    bad = cut(fixture, 1, Run(100, 10), cumulative=11)

    with pytest.raises(LedgerImbalanceError, match="make 10"):
        fixture.book.cuts.book([good, bad], 1)

    assert fixture.book.cuts.booked_numbers() == {}
    assert fixture.book.cuts.spent(fixture.accounts[1]) == 0


@pytest.mark.parametrize("wrong", ["gap", "went back", "no price", "shard"])
def test_a_cut_that_does_not_go_on_where_the_book_is_stops_booking(wrong):
    """Rather than bill a second twice."""
    fixture = make_book()
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 10), cumulative=10)], 1)
    cuts = {
        "gap": cut(fixture, 3, Run(200, 1), cumulative=11),
        "went back": cut(fixture, 2, Run(100, 10), cumulative=10),
        "no price": cut(fixture, 2, Run(200, 1), cumulative=1, version=2),
        "shard": Cut(0, 1, cut(fixture, 2, Run(200, 1), cumulative=11).lines),
    }

    with pytest.raises(LedgerImbalanceError):
        fixture.book.cuts.book([cuts[wrong]], 2)

    assert fixture.book.cuts.spent(fixture.accounts[0]) == 10 * PRICE


def test_what_a_viewer_spent_is_priced_by_version():
    """Ticks of each version at its own price."""
    fixture = make_book()
    fixture.book.streams.add_price("talks", Planck(3), 200)
    shard = shard_of(fixture.accounts[0])
    lines = (
        CutLine(fixture.key(version=1), (Run(190, 10),), 10),
        CutLine(fixture.key(version=2), (Run(200, 4),), 4),
    )

    fixture.book.cuts.book([Cut(shard, 1, lines)], 1)

    assert fixture.book.cuts.spent(fixture.accounts[0]) == 10 * PRICE + 4 * 3


def settle(fixture, seq=1, refused=()):
    batch = fixture.book.outbox.oldest()
    fixture.book.outbox.add_attempt(seq, b"signed", 1)
    return fixture.book.settlements.finalize(BatchOutcome(seq, batch.hash, refused, 1), 2)


def test_final_ticks_are_merged_by_hour_and_none_is_lost():
    """The book does not grow by a row for every cut."""
    fixture = make_book()
    account = fixture.accounts[0]
    for number in range(1, 5):
        run = Run(3600 * 5 - 20 + number * 10, 10)
        fixture.book.cuts.book([cut(fixture, number, run, cumulative=number * 10)], number)
    fixture.book.settlements.seal(9, 100)
    settle(fixture)
    before = fixture.book.cuts.watched(account, fixture.stream.id)
    assert fixture.book.cuts.compact() == 0  # neither receipted nor forgotten yet

    fixture.book.receipts.make(OPERATOR, 10)
    assert fixture.book.cuts.to_forget() == {shard_of(account): 4}
    fixture.book.cuts.mark_forgotten(fixture.book.cuts.to_forget())

    assert fixture.book.cuts.compact() == 0  # nor in the minutes
    assert fixture.book.usage.roll().lines == 4

    assert fixture.book.cuts.compact() == 4
    assert fixture.book.cuts.to_forget() == {}
    assert (
        fixture.book.cuts.watched(account, fixture.stream.id) == before == (Run(3600 * 5 - 10, 40),)
    )
    booked = fixture.book.cuts.booked_ticks(shard_of(account))
    assert sorted(line.runs for line in booked) == [(Run(17990, 10),), (Run(18000, 30),)]
    assert fixture.book.cuts.booked_number(shard_of(account)) == 4


def test_a_settled_batch_pays_creator_and_platform_once():
    """Whatever is said again."""
    fixture = make_book(fee_ppm=100_001)
    account, stream = fixture.accounts[0], fixture.stream
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 7), cumulative=7)], 1)
    fixture.book.settlements.seal(1, 100)
    first = settle(fixture)

    again = fixture.book.settlements.finalize(BatchOutcome(1, first.hash, (), 1), 99)

    assert again == first
    paid = 7 * PRICE
    fee = paid * 100_001 // 10**6
    assert fixture.book.ledger.balances() == {
        Holder(Role.OUTSIDE): -(10**12),
        Holder(Role.VIEWER, account): 10**12 - paid,
        Holder(Role.CREATOR, stream.creator, stream.id): paid - fee,
        Holder(Role.PLATFORM, stream=stream.id): fee,
    }
    assert fixture.book.ledger.earned(stream.creator) == {stream.id: paid - fee}
    assert fixture.book.ledger.unbalanced() == []


def test_a_refused_entry_is_carried_again_by_a_later_one():
    """Refused is a state, not an end."""
    fixture = make_book(viewers=2)
    for viewer in (0, 1):
        fixture.book.cuts.book([cut(fixture, 1, Run(100, 5), cumulative=5, viewer=viewer)], 1)
    fixture.book.settlements.seal(1, 100)
    settle(fixture, refused=((0, "purse"),))
    (refusal,) = fixture.book.settlements.refusals()
    entries = {entry.key: entry for entry in fixture.book.cuts.entries()}
    assert (entries[refusal.key].settled, entries[refusal.key].refused) == (0, 5)

    assert fixture.book.settlements.seal(2, 100) == []
    assert len(fixture.book.settlements.seal(2, 100, with_refused=True)) == 1
    settle(fixture, seq=2)

    assert all((e.settled, e.refused) == (5, 0) for e in fixture.book.cuts.entries())


def test_one_batch_above_its_bound_becomes_several_without_a_gap():
    """And the cut is forgotten only after the last of them."""
    fixture = make_book(viewers=3)
    for viewer in range(3):
        fixture.book.cuts.book([cut(fixture, 1, Run(1, 1), cumulative=1, viewer=viewer)], 1)

    sealed = fixture.book.settlements.seal(1, 2)

    assert [(batch.seq, batch.entry_count) for batch in sealed] == [(1, 2), (2, 1)]
    assert fixture.book.settlements.seal(2, 2) == []
    settle(fixture, 1)
    assert fixture.book.cuts.to_forget() == {}
    settle(fixture, 2)
    assert len(fixture.book.cuts.to_forget()) == len({shard_of(a) for a in fixture.accounts})


def test_other_content_under_our_number_is_never_booked():
    """A second operator with the same key, or a book that went back."""
    fixture = make_book()
    fixture.book.cuts.book([cut(fixture, 1, Run(100, 5), cumulative=5)], 1)
    fixture.book.settlements.seal(1, 100)

    with pytest.raises(LedgerImbalanceError):
        fixture.book.settlements.finalize(BatchOutcome(1, b"?" * 32, (), 1), 2)

    assert fixture.book.settlements.get(1).state is BatchState.SEALED


@examples(20)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 500)), min_size=1, max_size=12),
    st.integers(0, 10**6),
    st.integers(1, 10**9),
)
def test_books_sum_to_nothing_whatever_is_watched(steps, fee_ppm, price):
    """Hypothesis law: after each settlement, all balances sum to zero and every split is exact."""
    fixture = make_book(viewers=3, fee_ppm=fee_ppm, price=Planck(price))
    totals = [0, 0, 0]
    numbers = dict.fromkeys(map(shard_of, fixture.accounts), 0)
    for seq, (viewer, count) in enumerate(steps, 1):
        shard = shard_of(fixture.accounts[viewer])
        numbers[shard] += 1
        run = Run(1000 + totals[viewer] * 2, count)
        totals[viewer] += count
        taken = cut(fixture, numbers[shard], run, cumulative=totals[viewer], viewer=viewer)
        fixture.book.cuts.book([taken], seq)
        fixture.book.settlements.seal(seq, 100)
        settle(fixture, seq)
        ledger = fixture.book.ledger.balances()
        assert sum(ledger.values()) == 0
        paid = sum(10**12 - ledger[Holder(Role.VIEWER, a)] for a in fixture.accounts)
        assert paid == sum(totals) * price
    fixture.book.close()


def test_receipts_come_from_booked_cuts_and_chain():
    """One per viewer and stream and round; a file that verifies; no tick twice."""
    fixture = make_book()
    account, stream = fixture.accounts[0], fixture.stream.id
    assert fixture.book.receipts.make(OPERATOR, 1) == 0
    for number in (1, 2):
        run = Run(number * 100, 10)
        fixture.book.cuts.book([cut(fixture, number, run, cumulative=number * 10)], number)
        assert fixture.book.receipts.make(OPERATOR, number) == 1
        assert fixture.book.receipts.make(OPERATOR, number, account) == 0

    data = receipt_file.file_bytes(
        Asset(), OPERATOR.account, fixture.book.receipts.of(account, stream)
    )
    checked = receipt_file.verify(data, OPERATOR.account)

    assert [row.receipt.number for row in checked.receipts] == [1, 2]
    assert checked.amount == fixture.book.cuts.spent(account) == 20 * PRICE
    assert fixture.book.receipts.streams(account) == [stream]


def test_receipts_wait_so_that_they_are_few():
    """Then one receipt takes all that has gathered; who asks does not wait."""
    fixture = make_book(viewers=2)
    for number in (1, 2):
        for viewer in (0, 1):
            run = Run(number * 100, 10)
            taken = cut(fixture, number, run, cumulative=number * 10, viewer=viewer)
            fixture.book.cuts.book([taken], number * 1000)

    assert fixture.book.receipts.make(OPERATOR, 1500, waited_ms=1000) == 0
    assert fixture.book.receipts.make(OPERATOR, 1500, fixture.accounts[1]) == 1
    assert fixture.book.receipts.make(OPERATOR, 2000, waited_ms=1000) == 1
    (made,) = fixture.book.receipts.of(fixture.accounts[0], fixture.stream.id)
    assert made.receipt.ticks == 20
