"""A split table in the book: which seconds it shares, and what it cannot share."""

import pytest

from metering.errors import InvalidValueError
from metering.model.ledger import Share
from metering.model.splits import SplitTable
from metering.units import AccountId, Planck
from tests.support.book_fixture import PRICE, make_book

FROM = 1_700_000_000
PAT, SAM = AccountId(b"p" * 32), AccountId(b"s" * 32)
SHARES = (Share(PAT, 250_000),)


def test_with_a_table_begins_a_version_of_the_price_in_force() -> None:
    """What was watched before, however late it is told, is shared as it was."""
    fixture = make_book()
    book, stream = fixture.book, fixture.stream.id

    made = book.splits.put("talks", SHARES, FROM, 1)

    assert made == SplitTable(1, FROM, SHARES)
    prices = book.streams.get("talks").prices
    assert [(item.number, item.from_tick, item.planck_per_tick) for item in prices] == [
        (1, 0, PRICE),
        (2, FROM, PRICE),
    ]
    assert book.splits.version_shares() == {(stream, 1): (), (stream, 2): SHARES}
    later = book.streams.add_price("talks", Planck(4), FROM + 9)
    assert book.splits.version_shares()[stream, later.number] == SHARES
    assert (book.splits.streams_of(PAT), book.splits.payees(stream)) == ([stream], [PAT])


def test_a_table_that_is_to_come_gives_way_and_one_of_the_first_second_makes_no_price() -> None:
    fixture = make_book()
    book, stream = fixture.book, fixture.stream.id

    book.splits.put("talks", SHARES, 0, 1)
    book.splits.put("talks", SHARES, FROM, 2)
    mended = book.splits.put("talks", (Share(SAM, 1),), FROM, 3)

    assert mended.number == 3
    assert [table.number for table in book.splits.of(stream)] == [1, 3]
    assert len(book.streams.get("talks").prices) == 2
    with pytest.raises(InvalidValueError, match="choose that tick, or a later one"):
        book.splits.put("talks", (), FROM - 1, 4)
    with pytest.raises(InvalidValueError, match="is the stream's creator"):
        book.splits.put("talks", (Share(fixture.stream.creator, 1),), FROM + 1, 4)
    assert [table.number for table in book.splits.of(stream)] == [1, 3]


def test_a_table_that_is_to_come_goes_with_its_price() -> None:
    """One set a year ahead by mistake would else hold price and split until then."""
    book = make_book().book
    stream = book.streams.get("talks").id
    book.splits.put("talks", SHARES, FROM, 1)

    left = book.streams.withdraw_price("talks", 2, 0)

    assert (len(left.prices), book.splits.of(stream)) == (1, ())
    assert book.splits.version_shares() == {}
    book.splits.put("talks", SHARES, FROM - 9, 2)
    assert book.splits.version_shares() == {(stream, 1): (), (stream, 2): SHARES}


def test_a_table_stays_when_a_changed_price_that_it_begins_with_goes() -> None:
    """Its seconds cost what they did before, and are shared all the same."""
    book = make_book().book
    record = book.streams.get("talks")
    made = book.streams.add_price("talks", Planck(4_000_000), FROM)
    book.splits.put("talks", SHARES, FROM, 1)

    left = book.streams.withdraw_price("talks", made.number, 0)

    assert [price.planck_per_tick for price in left.prices] == [
        record.prices[0].planck_per_tick
    ] * 2
    assert book.splits.version_shares()[record.id, made.number] == SHARES
    later = book.streams.add_price("talks", Planck(4_000_000), FROM + 9)
    assert len(book.streams.withdraw_price("talks", later.number, 0).prices) == 2


def test_a_named_viewers_seconds_are_shared_from_the_same_second_on() -> None:
    """Whichever of the two was set first."""
    fixture = make_book(viewers=2)
    book, stream, (ann, bob) = fixture.book, fixture.stream.id, fixture.accounts
    book.named_prices.add(stream, ann, Planck(4), FROM - 50)
    book.named_prices.add(stream, bob, Planck(0), FROM - 50)

    book.splits.put("talks", SHARES, FROM, 1)
    book.named_prices.add(stream, bob, Planck(8), FROM - 20)

    named, shares = book.named_prices.of(stream), book.splits.version_shares()
    for account, planck in ((ann, 4), (bob, 8)):
        *_, before, after = named[account]
        assert (before.planck_per_tick, after.planck_per_tick) == (planck, planck)
        assert (after.from_tick, before.from_tick < FROM) == (FROM, True)
        assert before.version
        assert after.version
        assert (shares[stream, before.version], shares[stream, after.version]) == ((), SHARES)


def test_what_is_too_little_to_be_shared_is_refused_wherever_it_comes_from() -> None:
    """A table, a price, a viewer's price: nothing is written then."""
    fixture = make_book()
    book, stream, (ann,) = fixture.book, fixture.stream.id, fixture.accounts
    halves = (Share(PAT, 500_000), Share(SAM, 400_000))
    book.splits.put("talks", halves, FROM, 1)
    before = book.streams.get("talks").prices

    for act in (
        lambda: book.streams.add_price("talks", Planck(11), FROM + 5),
        lambda: book.named_prices.add(stream, ann, Planck(11), FROM - 9),
    ):
        with pytest.raises(InvalidValueError, match="too little to be shared so"):
            act()
    assert book.streams.get("talks").prices == before
    assert book.named_prices.of(stream) == {}
    book.streams.add_price("talks", Planck(10), FROM + 5)
    with pytest.raises(InvalidValueError, match="too little to be shared so"):
        book.splits.put("talks", (Share(PAT, 450_001), Share(SAM, 449_999)), FROM + 9, 2)
    assert len(book.splits.of(stream)) == 1
