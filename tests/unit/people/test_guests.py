"""Who may see a stream: the decision, guests, links for N uses, passwords."""

from itertools import product
from uuid import UUID

import pytest

from mediaserver.people import guests, passwords, persons
from mediaserver.people.password_tries import PER_ADDRESS_MAX, PER_PERSON_MAX, PasswordTries
from mediaserver.people.records import STAFF, Principal, Role
from mediaserver.people.visibility import Visibility, Way, may_see
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId
from tests.support.people_fixture import make_people

STREAM, OTHER = UUID(int=1), UUID(int=2)
ACCOUNT = AccountId(bytes(range(32)))


@pytest.fixture
def book():
    return make_people().book


@pytest.fixture
def person(book) -> str:
    with book.together() as connection:
        made = persons.create(connection, "Ann", 1)
        persons.give_account(connection, made.id, ACCOUNT)
    return made.id


def invited(book) -> None:
    with book.together() as connection:
        guests.set_visibility(connection, STREAM, Visibility.INVITED)


def test_who_may_see_is_a_table() -> None:
    """A creator for the server makes streams, and is none of this one."""
    for visibility, role, of_stream, is_guest in product(
        Visibility, [None, *Role], [None, Role.CREATOR, Role.MODERATOR], [False, True]
    ):
        may = may_see(
            visibility,
            frozenset({role} if role else ()),
            frozenset({of_stream} if of_stream else ()),
            is_guest=is_guest,
        )
        inside = is_guest or of_stream is not None or role in STAFF
        assert may == (visibility is not Visibility.INVITED or inside)


def test_a_stream_without_a_row_is_public(book, person) -> None:
    with book.viewing() as connection:
        assert guests.visibility_of(connection, STREAM) is Visibility.PUBLIC
        assert guests.visibilities(connection, [STREAM]) == {}
        assert guests.may_watch(connection, STREAM, ACCOUNT)


def test_visibility_and_password_do_not_change_each_other(book) -> None:
    with book.together() as connection:
        guests.set_password(connection, STREAM, "hash")
        guests.set_visibility(connection, STREAM, Visibility.UNLISTED)
        assert guests.password_of(connection, STREAM) == "hash"
        guests.set_password(connection, STREAM, "")
        assert guests.visibilities(connection, [STREAM]) == {STREAM: Visibility.UNLISTED}


@pytest.mark.parametrize("by", ["person", "account", "creator", "owner", "nothing"])
def test_an_account_may_watch_by_what_its_person_is(book, person, by) -> None:
    invited(book)
    who = Principal(f"person:{person}", person)
    with book.together() as connection:
        match by:
            case "person":
                guests.add(connection, STREAM, guests.of_person(person), Way.LISTED, 1)
            case "account":
                guests.add(connection, STREAM, guests.of_account(ACCOUNT), Way.LISTED, 1)
            case "creator":
                persons.give_stream_role(connection, person, STREAM, Role.CREATOR)
                held = persons.streams_of(connection, person)
                who = Principal(who.actor, person, streams=held)
            case "owner":
                persons.set_roles(connection, person, [Role.OWNER])
                who = Principal(who.actor, person, roles=frozenset({Role.OWNER}))
        assert guests.may_watch(connection, STREAM, ACCOUNT) == (by != "nothing")
        assert guests.sees(connection, STREAM, who) == (by != "nothing")
        guests.set_visibility(connection, OTHER, Visibility.INVITED)
        assert guests.may_watch(connection, OTHER, ACCOUNT) == (by == "owner")


def test_a_person_who_is_closed_sees_nothing_by_what_they_were(book, person) -> None:
    invited(book)
    with book.together() as connection:
        persons.set_roles(connection, person, [Role.OWNER])
        persons.close(connection, person, 2)
        assert not guests.may_watch(connection, STREAM, ACCOUNT)


def test_many_accounts_are_judged_in_few_questions(book, person) -> None:
    invited(book)
    many = [AccountId(number.to_bytes(32, "big")) for number in range(1, 1200)]
    with book.together() as connection:
        for account in many[::3]:
            guests.add(connection, STREAM, guests.of_account(account), Way.LISTED, 1)
        assert guests.may_all_watch(connection, STREAM, many) == set(many[::3])


def test_a_link_makes_as_many_guests_as_it_says_and_a_guest_uses_it_once(book) -> None:
    with book.together() as connection:
        secret, made = guests.make_link(connection, STREAM, 2, "admin", 1, 100)
        assert [guests.opens(connection, STREAM, secret, 2) for _ in range(5)] == [True] * 5
        used = [
            guests.use_link(connection, STREAM, secret, f"person:{name}", 2) for name in "aabbca"
        ]
        assert used == [True, True, True, True, False, True]
        (known,) = guests.links(connection, STREAM)
        assert (known.id, known.uses, known.is_open(2)) == (made.id, 2, False)
        assert not guests.opens(connection, STREAM, secret, 2)
        assert [item.name for item in guests.page(connection, STREAM, "", 9)] == [
            "person:a",
            "person:b",
        ]


@pytest.mark.parametrize("fault", ["wrong", "other stream", "expired", "ended"])
def test_a_link_that_opens_nothing(book, fault) -> None:
    with book.together() as connection:
        secret, made = guests.make_link(connection, STREAM, 9, "admin", 1, 100)
        if fault == "ended":
            guests.end_link(connection, STREAM, made.id, 2, with_guests=False)
        shown = "x" if fault == "wrong" else secret
        stream = OTHER if fault == "other stream" else STREAM
        now_ms = 100 if fault == "expired" else 3
        assert not guests.opens(connection, stream, shown, now_ms)
        assert not guests.use_link(connection, stream, shown, "person:a", now_ms)
        assert guests.page(connection, STREAM, "", 9) == []


def test_a_link_is_taken_back_alone_or_with_its_guests(book) -> None:
    with book.together() as connection:
        ids = []
        for name in "ab":
            secret, made = guests.make_link(connection, STREAM, 9, "admin", 1, 100)
            guests.use_link(connection, STREAM, secret, f"person:{name}", 2)
            ids.append(made.id)
        assert guests.end_link(connection, STREAM, ids[0], 3, with_guests=False) == 0
        assert guests.end_link(connection, STREAM, ids[1], 3, with_guests=True) == 1
        assert [item.name for item in guests.page(connection, STREAM, "", 9)] == ["person:a"]
        with pytest.raises(UnknownNameError):
            guests.end_link(connection, STREAM, ids[1], 4, with_guests=True)


@pytest.mark.parametrize(("uses", "expires_ms"), [(0, 100), (10_001, 100), (1, 1)])
def test_a_link_has_uses_and_an_end_to_come(book, uses, expires_ms) -> None:
    with book.together() as connection, pytest.raises(InvalidValueError):
        guests.make_link(connection, STREAM, uses, "admin", 1, expires_ms)


def test_who_is_no_guest_cannot_be_removed(book) -> None:
    with book.together() as connection, pytest.raises(UnknownNameError):
        guests.remove(connection, STREAM, "person:a")


def test_a_password_is_kept_as_argon2id_and_compared_where_there_is_none() -> None:
    kept = passwords.hashed("correct horse")
    assert kept.startswith("$argon2id$")
    assert "correct" not in kept
    assert passwords.is_right(kept, "correct horse")
    for wrong in ("Correct horse", "", "x" * 300):
        assert not passwords.is_right(kept, wrong)
    assert not passwords.is_right("", "nobody's")


def test_tries_are_bounded_by_who_tries_and_the_right_one_does_not_count() -> None:
    tries = PasswordTries()
    for _ in range(3 * PER_PERSON_MAX):
        assert tries.take("ann", "192.0.2.1", 5)
        tries.was_right("ann", "192.0.2.1")
    assert all(tries.take("bob", "192.0.2.1", 5) for _ in range(PER_PERSON_MAX))
    assert not tries.take("bob", "192.0.2.9", 5)
    assert tries.take("bob", "192.0.2.1", 5 + 3_600_000)
    assert all(tries.take(f"p{n}", "192.0.2.2", 6) for n in range(PER_ADDRESS_MAX))
    assert not tries.take("new", "192.0.2.2", 6)
    assert tries.take("new", "192.0.2.3", 6)


def test_wrong_passwords_of_a_stream_wait_longer_each_time() -> None:
    tries = PasswordTries()
    waits = [tries.wait_s("cam", 1.0) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[0] == 0
    assert waits[-1] == 4
    assert tries.wait_s("other", 1.0) == 0
