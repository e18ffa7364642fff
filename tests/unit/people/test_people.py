"""People, their ways in, browsers, machines' keys and invitations, on a real database."""

import pytest

from mediaserver.people import (
    api_keys,
    browser_sessions,
    credentials,
    invitations,
    key_format,
    persons,
    tokens,
)
from mediaserver.people.challenges import LIFE_MS, PER_ADDRESS_MAX, Challenges
from mediaserver.people.credentials import NewCredential
from mediaserver.people.per_hour import (
    ALL_MAX,
    ENTRIES_MAX,
    PERIOD_MS,
    EntriesPerHour,
    PerHour,
)
from mediaserver.people.per_hour import PER_ADDRESS_MAX as PER_ADDRESS_NEW
from mediaserver.people.records import CredentialKind, InvitationKind, Role
from metering.errors import InvalidValueError, UnknownNameError
from tests.support.people_fixture import make_people

NOW = 1_800_000_000_000
DAY = 86_400_000


@pytest.fixture
def fixture():
    return make_people()


@pytest.fixture
def connection(fixture):
    with fixture.book.together() as opened:
        yield opened


@pytest.fixture
def ann(connection) -> str:
    return persons.create(connection, "Ann", NOW).id


def passkey(number: int) -> NewCredential:
    return NewCredential(CredentialKind.PASSKEY, f"{number:064x}", f"key {number}", b"key")


def test_the_last_way_in_cannot_be_removed(connection, ann) -> None:
    first = credentials.add(connection, ann, passkey(1), NOW)
    with pytest.raises(InvalidValueError, match="last way to sign in"):
        credentials.remove(connection, ann, first.id)

    credentials.add(connection, ann, passkey(2), NOW)
    credentials.remove(connection, ann, first.id)
    assert [item.label for item in credentials.of_person(connection, ann)] == ["key 2"]


def test_one_way_in_is_of_one_person(connection, ann) -> None:
    bob = persons.create(connection, "Bob", NOW).id
    first = credentials.add(connection, ann, passkey(1), NOW)
    with pytest.raises(InvalidValueError, match="signs somebody in already"):
        credentials.add(connection, bob, passkey(1), NOW)
    with pytest.raises(UnknownNameError):
        credentials.remove(connection, bob, first.id)
    assert credentials.of_person(connection, bob) == []


def test_ways_in_are_bounded(connection, ann) -> None:
    for number in range(credentials.CREDENTIALS_MAX):
        credentials.add(connection, ann, passkey(number), NOW)
    with pytest.raises(InvalidValueError, match="remove one"):
        credentials.add(connection, ann, passkey(99), NOW)


def test_a_recovery_code_opens_once_however_it_is_typed(connection, ann) -> None:
    codes = credentials.new_codes(connection, ann, NOW)
    assert len(set(codes)) == credentials.CODES
    typed = f"  {codes[0].upper().replace('-', ' ')} "
    assert credentials.use_code(connection, typed, NOW) == ann
    assert credentials.use_code(connection, codes[0], NOW) is None
    assert credentials.codes_left(connection, ann) == credentials.CODES - 1
    assert credentials.use_code(connection, "", NOW) is None

    newer = credentials.new_codes(connection, ann, NOW)
    assert credentials.use_code(connection, codes[1], NOW) is None
    assert credentials.use_code(connection, newer[0], NOW) == ann


def test_a_session_slides_and_has_an_end(connection, ann) -> None:
    token, session = browser_sessions.begin(connection, ann, NOW, "192.0.2.1", "Firefox")
    assert browser_sessions.find(connection, token, NOW) == session
    assert browser_sessions.find(connection, session.id, NOW) is None  # its id opens nothing

    at = NOW
    while at + 20 * DAY < session.ends_ms:
        at += 20 * DAY
        known = browser_sessions.find(connection, token, at)
        assert known is not None
        assert browser_sessions.needs_touch(known, at)
        browser_sessions.touch(connection, known, at)
    assert browser_sessions.find(connection, token, session.ends_ms - 1) is not None
    assert browser_sessions.find(connection, token, session.ends_ms) is None


def test_a_browsers_word_of_itself_is_any_bytes(connection, ann) -> None:
    _, made = browser_sessions.begin(connection, ann, NOW, "192.0.2.1", "a\udcff" + "x" * 300)
    assert made.agent.startswith("a?x")
    assert browser_sessions.of_person(connection, ann, NOW) == [made]


def test_a_session_that_nobody_uses_ends(connection, ann) -> None:
    token, _ = browser_sessions.begin(connection, ann, NOW, "", "")
    assert browser_sessions.find(connection, token, NOW + browser_sessions.IDLE_MS - 1)
    assert browser_sessions.find(connection, token, NOW + browser_sessions.IDLE_MS) is None


def test_sessions_are_their_owners_to_end(connection, ann) -> None:
    bob = persons.create(connection, "Bob", NOW).id
    token, session = browser_sessions.begin(connection, ann, NOW, "", "")
    with pytest.raises(UnknownNameError):
        browser_sessions.end(connection, bob, session.id)
    browser_sessions.end(connection, ann, session.id)
    assert browser_sessions.find(connection, token, NOW) is None


def test_more_browsers_than_anybody_has_end_the_oldest(connection, ann) -> None:
    made = [
        browser_sessions.begin(connection, ann, NOW + number, "", "")[0]
        for number in range(browser_sessions.OF_PERSON_MAX + 1)
    ]
    assert len(browser_sessions.of_person(connection, ann, NOW)) == browser_sessions.OF_PERSON_MAX
    assert browser_sessions.find(connection, made[0], NOW) is None
    assert browser_sessions.find(connection, made[-1], NOW) is not None


def test_nothing_of_a_closed_person_is_signed_in(connection, ann) -> None:
    token, _ = browser_sessions.begin(connection, ann, NOW, "", "")
    persons.close(connection, ann, NOW)
    assert browser_sessions.find(connection, token, NOW) is None


def test_a_key_is_found_by_the_whole_of_it(connection) -> None:
    key, made = api_keys.make(connection, "bot", ["streams:read"], "admin", NOW, NOW + DAY)
    assert key.startswith(f"vk_{made.prefix}_")
    assert api_keys.find(connection, key, NOW) == made
    assert key_format.prefix_of(key) == made.prefix
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert api_keys.find(connection, other, NOW) is None
    assert api_keys.find(connection, key, NOW + DAY) is None
    api_keys.end(connection, made.prefix, NOW)
    assert api_keys.find(connection, key, NOW) is None
    assert api_keys.living(connection, NOW) == []


def test_a_key_is_no_use_when_its_maker_may_make_none(connection, ann) -> None:
    persons.set_roles(connection, ann, [Role.OWNER])
    made_by = f"person:{ann}"
    key, made = api_keys.make(connection, "bot", ["streams:read"], made_by, NOW, None)
    assert api_keys.find(connection, key, NOW) == made
    persons.set_roles(connection, ann, [Role.FINANCE])
    assert api_keys.find(connection, key, NOW) is None
    assert api_keys.living(connection, NOW) == []

    persons.set_roles(connection, ann, [Role.OWNER])
    assert api_keys.living(connection, NOW) == [made]
    persons.close(connection, ann, NOW)
    assert api_keys.find(connection, key, NOW) is None


@pytest.mark.parametrize(
    ("name", "scopes", "expires_ms", "fault"),
    [
        ("bot", [], None, "needs a scope"),
        ("bot", ["everything"], None, "'everything' is none"),
        ("", ["streams:read"], None, "1 to 200 characters"),
        ("bot", ["streams:read"], NOW, "is past"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_words(connection, name, scopes, expires_ms, fault):
    with pytest.raises(InvalidValueError, match=fault):
        api_keys.make(connection, name, scopes, "admin", NOW, expires_ms)


def test_an_invitation_is_taken_once_in_its_week(connection, ann) -> None:
    code, made = invitations.make(connection, InvitationKind.ROLE, "", Role.SUPPORT, "admin", NOW)
    assert invitations.find(connection, code, NOW) == made
    assert invitations.find(connection, made.id, NOW) is None
    assert invitations.find(connection, code, made.expires_ms) is None
    invitations.take(connection, made.id, ann, NOW)
    assert invitations.find(connection, code, NOW) is None
    with pytest.raises(UnknownNameError):
        invitations.take_back(connection, made.id, NOW)


def test_an_invitation_that_was_taken_back_opens_nothing(connection) -> None:
    code, made = invitations.make(connection, InvitationKind.VIEWER, "0x", None, "admin", NOW)
    invitations.take_back(connection, made.id, NOW)
    assert invitations.find(connection, code, NOW) is None
    assert invitations.open_ones(connection, NOW) == []


def test_nobody_keeps_others_from_inviting(connection, ann) -> None:
    def make(made_by: str, now_ms: int = NOW) -> None:
        invitations.make(connection, InvitationKind.ROLE, "", Role.SUPPORT, made_by, now_ms)

    for _ in range(invitations.OPEN_OF_PERSON_MAX):
        make(f"person:{ann}")
    with pytest.raises(InvalidValueError, match="of yours are open"):
        make(f"person:{ann}")
    make("admin")
    make(f"person:{ann}", NOW + invitations.LIFE_MS)


def test_one_account_pays_for_one_person(fixture, connection, ann) -> None:
    account = fixture.accounts[0]
    bob = persons.create(connection, "Bob", NOW).id
    persons.give_account(connection, ann, account)
    persons.give_account(connection, ann, account)  # again is harmless
    assert persons.of_account(connection, account) == persons.get(connection, ann)
    with pytest.raises(InvalidValueError, match="another person's"):
        persons.give_account(connection, bob, account)
    assert persons.get(connection, bob).account is None


def test_who_is_closed_is_given_no_account(fixture, connection, ann) -> None:
    """A request of theirs may be on its way still."""
    persons.close(connection, ann, NOW)
    with pytest.raises(UnknownNameError, match="was closed"):
        persons.give_account(connection, ann, fixture.accounts[0])
    assert persons.get(connection, ann).account is None


def test_an_account_is_taken_only_from_who_is_closed(fixture, connection, ann) -> None:
    account = fixture.accounts[0]
    bob = persons.create(connection, "Bob", NOW).id
    persons.give_account(connection, ann, account)
    assert not persons.take_from_closed(connection, account)
    assert persons.get(connection, ann).account == account

    persons.close(connection, ann, NOW)
    assert persons.take_from_closed(connection, account)
    persons.give_account(connection, bob, account)
    assert persons.get(connection, ann).account is None
    assert not persons.take_from_closed(connection, account)


def test_roles_are_for_the_server_or_for_a_stream(fixture, connection, ann) -> None:
    stream = fixture.stream.id
    persons.set_roles(connection, ann, [Role.FINANCE, Role.CREATOR])
    assert persons.roles_of(connection, ann) == {Role.FINANCE, Role.CREATOR}
    persons.set_roles(connection, ann, [])
    assert persons.roles_of(connection, ann) == frozenset()
    with pytest.raises(InvalidValueError, match="moderator"):
        persons.set_roles(connection, ann, [Role.MODERATOR])
    with pytest.raises(InvalidValueError, match="owner"):
        persons.give_stream_role(connection, ann, stream, Role.OWNER)

    persons.give_stream_role(connection, ann, stream, Role.CREATOR)
    persons.give_stream_role(connection, ann, stream, Role.CREATOR)
    assert persons.streams_of(connection, ann) == {stream: {Role.CREATOR}}
    assert persons.of_stream(connection, stream) == {ann: {Role.CREATOR}}
    persons.take_stream_role(connection, ann, stream, Role.CREATOR)
    assert persons.streams_of(connection, ann) == {}
    with pytest.raises(UnknownNameError, match="is no creator"):
        persons.take_stream_role(connection, ann, stream, Role.CREATOR)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "a\nb", "a\u202eb"])
def test_a_name_that_cannot_be_one_is_refused(connection, name) -> None:
    with pytest.raises(InvalidValueError, match="name"):
        persons.create(connection, name, NOW)


def test_newcomers_of_one_address_and_of_all_are_bounded() -> None:
    sign_ups = PerHour()
    taken = [sign_ups.take("192.0.2.1", NOW) for _ in range(PER_ADDRESS_NEW + 1)]
    assert taken == [True] * PER_ADDRESS_NEW + [False]
    assert sign_ups.take("192.0.2.2", NOW)
    assert sign_ups.take("192.0.2.1", NOW + PERIOD_MS)

    # One customer's network of IPv6 counts as one.
    same = [sign_ups.take(f"2001:db8::{number}", NOW) for number in range(PER_ADDRESS_NEW + 1)]
    assert not same[-1]
    many = (sign_ups.take(f"10.0.{n // 256}.{n % 256}", NOW) for n in range(ALL_MAX + 1))
    assert sum(many) < ALL_MAX


def test_what_one_person_does_again_and_again_is_bounded_and_others_go_on() -> None:
    entries = EntriesPerHour()
    taken = [entries.take("person:1 person.rename", NOW) for _ in range(ENTRIES_MAX + 1)]
    assert taken == [True] * ENTRIES_MAX + [False]
    assert not entries.take("person:1 person.rename", NOW)
    others = [entries.take(f"person:{number} person.rename", NOW) for number in range(2, 99)]
    assert sum(others) >= len(others) - 1  # names share places
    assert entries.take("person:1 person.rename", NOW + PERIOD_MS)


def test_a_challenge_is_for_one_browser_one_purpose_and_five_minutes() -> None:
    challenges = Challenges()
    made = challenges.begin("sign-in", NOW, "192.0.2.1", note="x")
    assert made is not None
    secret, challenge = made
    assert challenges.take("add", secret, NOW) is None
    assert challenges.take("sign-in", tokens.new_secret(), NOW) is None
    assert challenges.take("sign-in", secret, NOW + LIFE_MS - 1) == challenge
    assert challenges.take("sign-in", secret, NOW) is None  # once

    late = challenges.begin("sign-in", NOW, "192.0.2.1")
    assert late is not None
    assert challenges.take("sign-in", late[0], NOW + LIFE_MS) is None


def test_challenges_of_one_address_are_bounded_and_forgotten() -> None:
    challenges = Challenges()
    for _ in range(PER_ADDRESS_MAX):
        assert challenges.begin("sign-in", NOW, "192.0.2.1") is not None
    assert challenges.begin("sign-in", NOW, "192.0.2.1") is None
    assert challenges.begin("sign-in", NOW, "192.0.2.2") is not None
    # One customer's network of IPv6 counts as one: it cannot fill what is everybody's.
    same = [challenges.begin("sign-in", NOW, f"2001:db8::{n}") for n in range(PER_ADDRESS_MAX + 1)]
    assert same[-1] is None
    assert challenges.begin("sign-in", NOW + LIFE_MS, "192.0.2.1") is not None
