"""Shows that are kept, and the browsers of players."""

from uuid import UUID

import pytest
from sqlalchemy import text

from mediaserver.people import players, shows
from mediaserver.people.tables import TABLES
from metering.book.records import CoveredTicks, TrueRun
from metering.units import AccountId, Run, SessionId
from tests.support.book_fixture import make_book
from tests.support.people_fixture import make_people

NOW = 1_800_000_000_000
CAM, TALKS = UUID(int=1), UUID(int=2)


@pytest.fixture
def fixture():
    return make_people()


@pytest.fixture
def connection(fixture):
    with fixture.book.together() as opened:
        yield opened


def test_a_show_is_kept_once(connection) -> None:
    for stream, show in ((CAM, 9), (CAM, 5), (CAM, 9), (TALKS, 7)):
        shows.keep(connection, stream, show)
    assert shows.of_streams(connection, {CAM, UUID(int=3)}) == {CAM: [5, 9], UUID(int=3): []}


def test_shows_of_before_are_taken_from_the_book() -> None:
    """A book of an older program names those with a preview and those that were cut short."""
    fixture = make_book()
    book, stream = fixture.book, fixture.stream.id
    book.covered.add([CoveredTicks(fixture.accounts[0], stream, 100, (Run(100, 1),))])
    book.true_runs.keep([TrueRun(stream, number, 1, 1, Run(201, 2), 1) for number in (100, 200)], 0)
    TABLES.bring_up(book)
    with book.viewing() as connection:
        assert shows.of_streams(connection, [stream]) == {stream: [100, 200]}


def test_a_player_is_known_by_its_newest_browser_while_it_may_live(connection, fixture) -> None:
    (ann,) = fixture.accounts
    bob = AccountId(ann[:31] + b"b")
    players.keep(connection, ann, SessionId(1), "Old", NOW - players.KEPT_MS - 1)
    players.keep(connection, bob, SessionId(4), "Other", NOW - players.KEPT_MS - 1)
    players.keep(connection, ann, SessionId(2), "Firefox", NOW - 1)
    players.keep(connection, ann, SessionId(2), "Chrome \udc80", NOW)
    assert players.agents(connection, ann) == {SessionId(2): "Chrome ?"}
    assert connection.execute(text("SELECT count(*) FROM people_players")).scalar() == 2
