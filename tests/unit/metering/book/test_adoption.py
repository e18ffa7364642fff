"""What the chain settled for a lost book: moved once, gone from balance and caps, and named."""

from __future__ import annotations

from dataclasses import replace

from metering.model.audit import audit
from metering.model.entries import decode
from metering.model.join_caps import Join, JoinLimits
from metering.model.ledger import Holder, Role
from metering.recovery.derive import join_states, whole_units
from metering.recovery.reconcile import read
from metering.units import Planck, shard_of
from tests.support.book_fixture import PRICE, BookFixture, know_joins, make_book
from tests.support.chain_scenario import feed

LIMITS = JoinLimits(burst_ticks=120, rate_ppm=1_100_000, prices_max=8, notice_s=3600)


def _fixture() -> BookFixture:
    """Return a book in which viewer 0 has 12 ticks booked and viewer 1 has joined only."""
    fixture = make_book(viewers=2, fee_ppm=333_333)
    know_joins(fixture)
    feed(fixture.book, fixture.stream.id, {}, {fixture.accounts[0]: 12})
    return fixture


def test_adopting_moves_the_money_once():
    """The same answer of the chain again changes nothing; a later one moves the rest."""
    fixture = _fixture()
    book, (ann, ben) = fixture.book, fixture.accounts

    first = book.adoption.adopt({fixture.key(0): 30, fixture.key(1): 7}, 4, 1)
    again = book.adoption.adopt({fixture.key(0): 30, fixture.key(1): 7}, 4, 2)
    later = book.adoption.adopt({fixture.key(0): 31, fixture.key(1): 7}, 5, 3)

    assert (first.settled_ticks, first.lost_ticks, first.planck) == (12, 25, 37 * PRICE)
    assert (again.settled_ticks, again.lost_ticks, again.planck) == (0, 0, 0)
    assert later.planck == PRICE
    assert book.adoption.passed_seq() == 5
    assert set(book.adoption.accounts()) == {ann, ben}
    ledger = book.ledger.balances()
    assert ledger[Holder(Role.VIEWER, ann)] == 10**12 - 31 * PRICE
    assert ledger[Holder(Role.VIEWER, ben)] == 10**12 - 7 * PRICE
    records, _ = read(book, [], has_journal=False)
    rows, differences = audit(records)
    assert differences == ()
    assert {row.account: row.adopted for row in rows} == {ann: 19, ben: 7}


def test_a_price_that_the_restored_book_lacks_is_passed_over():
    """What it cost is not known here: the stream's totals show it until a person has looked."""
    fixture = _fixture()

    done = fixture.book.adoption.adopt({fixture.key(1, version=2): 7}, 4, 1)

    assert (done.lost_ticks, done.planck) == (0, 0)
    assert fixture.book.adoption.lost_ticks() == 0


def test_every_join_that_the_book_knows_is_asked_for():
    """One who began to watch after the backup has no entry in it."""
    fixture = _fixture()

    assert set(fixture.book.adoption.candidates()) == {fixture.key(0), fixture.key(1)}


def test_a_join_has_had_what_the_chain_counts_on_it():
    """Rebuilt caps leave no room for ticks that the chain would refuse."""
    fixture = _fixture()
    book, ann = fixture.book, fixture.accounts[0]
    book.adoption.adopt({fixture.key(0): 30}, 4, 1)
    join = Join(fixture.stream.id, ann, 1, 10**12, PRICE, 0, 10**6)

    (state,) = join_states(
        [join],
        limits=LIMITS,
        quantum=1,
        skew_s=0,
        entries=book.cuts.entries(shard_of(ann)),
        pending=(),
        prices={(fixture.stream.id, 1): PRICE},
    )

    assert (state.ticks, state.units, state.versions) == (30, 30 * PRICE, (1,))
    assert book.escrow.funds([ann])[1][ann].net == 10**12 - 18 * PRICE


def test_a_balance_that_the_chain_took_more_from_than_is_known_yet_is_empty():
    """The deposits of a restored book come in block by block."""
    assert whole_units(Planck(-5), 1) == 0


def test_what_is_watched_next_is_settled_on_top():
    """Neither second is billed twice; and a tick more that no money moved for is named."""
    fixture = _fixture()
    book = fixture.book
    book.adoption.adopt({fixture.key(0): 30}, 4, 1)
    feed(book, fixture.stream.id, {fixture.accounts[0]: 12}, {fixture.accounts[0]: 5})

    (batch,) = book.settlements.seal(2, 100)

    assert [(entry.key, entry.cumulative) for entry in decode(batch.entries)] == [
        (fixture.key(0), 35)
    ]
    assert batch.seq == 5
    records, _ = read(book, [], has_journal=False)
    tampered = replace(
        records, entries={fixture.key(0): replace(records.entries[fixture.key(0)], ahead=19)}
    )
    assert audit(records)[1] == ()
    assert any(entry.what == "planck in the ledger" for entry in audit(tampered)[1])
