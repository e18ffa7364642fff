"""Streams that are read together."""

from uuid import UUID

from metering.units import Planck
from tests.support.book_fixture import make_book


def test_some_streams_are_read_by_slug_and_no_others():
    """A person's own few are not looked for among ten thousand."""
    fixture = make_book()
    book = fixture.book
    other, _ = book.streams.create("alpha", "Alpha", Planck(5), 1, 0)
    book.streams.create("zeta", "Zeta", Planck(5), 1, 0)

    assert book.streams.some({fixture.stream.id, other.id, UUID(int=1)}) == [
        book.streams.get("alpha"),
        book.streams.get("talks"),
    ]
    assert book.streams.some(set()) == []
