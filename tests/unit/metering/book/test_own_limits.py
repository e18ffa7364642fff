"""Viewers' own limits in the book."""

import pytest

from metering.errors import InvalidValueError, UnknownNameError
from metering.model.price import UNITS_MAX
from metering.model.spending_limits import SpendingLimits
from metering.units import AccountId, Planck, SessionId, shard_of
from tests.support.book_fixture import make_book

OWN = SpendingLimits(Planck(1), Planck(10**17), Planck(3))


class At:
    """A session that follows another."""

    session, join, created_ms, expires_ms = SessionId(2), 1, 50, 90


def test_own_limits_are_kept_and_found_by_shard() -> None:
    fixture = make_book(viewers=2)
    ann, bob = fixture.accounts
    limits = fixture.book.limits
    assert limits.get(ann) == SpendingLimits()
    limits.put(ann, SpendingLimits(day=Planck(5)), 1)
    limits.put(ann, OWN, 2)
    assert limits.get(ann) == OWN
    assert limits.get(bob) == SpendingLimits()
    assert limits.of_shard(shard_of(ann)) == {ann: OWN}
    assert limits.of_shard((shard_of(ann) + 1) % 256) == {}


def test_a_limit_that_cannot_be_counted_and_a_stranger_are_refused() -> None:
    fixture = make_book()
    with pytest.raises(InvalidValueError, match="a day's limit of"):
        fixture.book.limits.put(fixture.accounts[0], SpendingLimits(day=Planck(UNITS_MAX + 1)), 1)
    with pytest.raises(UnknownNameError):
        fixture.book.limits.put(AccountId(b"?" * 32), OWN, 1)
    assert fixture.book.limits.get(fixture.accounts[0]) == SpendingLimits()


def test_a_sessions_own_limit_stays_with_its_player_until_it_is_changed() -> None:
    fixture = make_book()
    account, stream, sessions = fixture.accounts[0], fixture.stream.id, fixture.book.sessions
    sessions.add(SessionId(1), account, stream, 1, 10, 100, 500, Planck(7))
    sessions.add(SessionId(1), account, stream, 1, 20, 200, 500)
    assert sessions.get(SessionId(1)).own_limit == 7
    sessions.follow(SessionId(1), At(), "replaced")
    followed = sessions.get(SessionId(2))
    assert (followed.own_limit, followed.began_ms, followed.created_ms) == (7, 10, 50)
    sessions.add(SessionId(2), account, stream, 1, 60, 95, 500, Planck(0))
    assert sessions.get(SessionId(2)).own_limit == 0
    assert sessions.playing(account, 80) == [SessionId(2)]
    assert sessions.playing(account, 95) == []
