"""A show's cap holds from a show on, and the book knows which shows are counted."""

import pytest

from metering.errors import InvalidValueError
from metering.units import Planck, ShowCap
from tests.support.book_fixture import make_book

SHOW = 1_700_000_000


def test_a_cap_holds_for_shows_from_then_on_and_one_to_come_gives_way():
    """What was promised when a show began is not changed; the same again is no new version."""
    fixture = make_book()
    caps, stream = fixture.book.show_caps, fixture.stream.id

    caps.put(stream, Planck(500), SHOW)
    caps.put(stream, Planck(500), SHOW + 10)
    caps.put(stream, Planck(700), SHOW + 20)
    caps.put(stream, Planck(900), SHOW + 5)

    assert caps.all() == {stream: (ShowCap(SHOW, Planck(500)), ShowCap(SHOW + 5, Planck(900)))}
    assert fixture.book.streams.get("talks").caps == caps.all()[stream]
    assert caps.put(stream, Planck(0), SHOW + 9) == ShowCap(SHOW + 9, Planck(0))
    with pytest.raises(InvalidValueError, match="a show's cap"):
        caps.put(stream, Planck(-1), SHOW + 30)


def test_no_cap_where_there_never_was_one_leaves_the_stream_alone():
    """Nothing of it is counted by show then."""
    fixture = make_book()

    fixture.book.show_caps.put(fixture.stream.id, Planck(0), SHOW)

    assert fixture.book.show_caps.all() == {}


def test_of_the_shows_before_the_watched_hours_only_the_newest_is_looked_at():
    """It may go on still; all are looked at where the books are compared."""
    fixture = make_book()
    caps, stream = fixture.book.show_caps, fixture.stream.id
    shows = [SHOW, SHOW + 5_000, SHOW + 200_000]
    for _ in range(2):
        caps.add_shows((stream, show) for show in shows)

    assert caps.shows() == {stream: tuple(shows)}
    assert caps.shows(SHOW + 5_000) == {stream: (SHOW + 5_000, SHOW + 200_000)}
    assert caps.shows(SHOW + 200_001) == {stream: (SHOW + 200_000,)}
