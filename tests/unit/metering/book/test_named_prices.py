"""A price of a named viewer is a version of the stream's, that is theirs alone."""

import pytest

from metering.book import named_prices
from metering.errors import InvalidValueError
from metering.model.named_prices import NamedPrice
from metering.units import FREE_LIST, Planck
from tests.support.book_fixture import make_book

FROM = 1_700_000_000


def test_a_named_price_takes_the_next_number_and_is_nobody_elses():
    """Entries and receipts name it; what the stream costs everybody has none of it."""
    fixture = make_book(viewers=2)
    book, stream = fixture.book, fixture.stream.id
    ann, bob = fixture.accounts

    own = book.named_prices.add(stream, ann, Planck(3), FROM)
    later = book.streams.add_price("talks", Planck(9), FROM + 50)
    free = book.named_prices.add(stream, ann, Planck(0), FROM + 60)
    back = book.named_prices.add(stream, ann, None, FROM + 70)
    other = book.named_prices.add(stream, bob, Planck(3), FROM)

    assert (own.version, later.number, other.version) == (2, 3, 4)
    assert (free.version, back.version) == (FREE_LIST, None)
    assert [price.number for price in book.streams.get("talks").prices] == [1, 3]
    assert book.streams.prices()[stream, 2] == 3
    assert book.named_prices.all() == {stream: book.named_prices.of(stream)}
    assert book.named_prices.of(stream)[ann] == (own, free, back)
    assert book.named_prices.of(stream)[bob] == (NamedPrice(FROM, 4, Planck(3)),)


def test_a_change_that_is_to_come_gives_way_to_another():
    """A slip is mended before it costs anything."""
    fixture = make_book()
    (ann,), book, stream = fixture.accounts, fixture.book, fixture.stream.id
    kept = book.named_prices.add(stream, ann, Planck(3), FROM)
    book.named_prices.add(stream, ann, Planck(30), FROM + 60)

    mended = book.named_prices.add(stream, ann, Planck(4), FROM + 30)

    assert book.named_prices.of(stream)[ann] == (kept, mended)
    assert mended.version == 4


def test_what_no_price_can_be_is_refused_in_words(monkeypatch):
    """Nothing is written then."""
    fixture = make_book(viewers=2)
    book, stream = fixture.book, fixture.stream.id
    ann, bob = fixture.accounts
    book.named_prices.add(stream, ann, Planck(3), FROM)

    with pytest.raises(InvalidValueError, match="price of a second"):
        book.named_prices.add(stream, bob, Planck(-1), FROM)
    monkeypatch.setattr(named_prices, "VIEWERS_MAX", 1)
    with pytest.raises(InvalidValueError, match="no more than 1 may"):
        book.named_prices.add(stream, bob, Planck(4), FROM)
    assert list(book.named_prices.of(stream)) == [ann]
