"""A book with the tables of people, in memory."""

from mediaserver.people.tables import TABLES
from tests.support.book_fixture import BookFixture, make_book


def make_people(url: str = "sqlite://") -> BookFixture:
    """Return a new book with the tables of people in it."""
    fixture = make_book(url)
    TABLES.bring_up(fixture.book)
    return fixture
