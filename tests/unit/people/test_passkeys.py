"""What of a passkey is taken, and what is not."""

from dataclasses import replace

import pytest

from mediaserver.people import passkeys
from mediaserver.people.records import Credential, CredentialKind
from mediaserver.people.relying_party import RelyingParty, origin, relying_party
from metering.errors import InvalidValueError
from tests.support.authenticator import Authenticator

PARTY = RelyingParty("localhost", "http://localhost:8080")
PERSON = "ab" * 16
CHALLENGE, OTHER = b"c" * 32, b"o" * 32


def made(device: Authenticator) -> Credential:
    options = passkeys.creation_options(PARTY, CHALLENGE, PERSON, "Ann")
    new = passkeys.created(PARTY, CHALLENGE, device.create(options), "phone")
    return Credential(
        "1" * 16, PERSON, new.kind, new.subject, new.label, new.public_key, new.sign_count, 1, None
    )


def test_a_passkey_that_was_made_signs_in() -> None:
    device = Authenticator()
    known = made(device)

    answer = device.get(passkeys.request_options(PARTY, OTHER))

    assert passkeys.subject_of(answer) == known.subject == device.id.hex()
    assert passkeys.shown(PARTY, OTHER, answer, known) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": "http://localhost:8081"},
        {"origin": "https://evil.example"},
        {"type": "webauthn.get"},
        {"challenge": "AAAA"},
    ],
)
def test_a_passkey_made_for_another_page_is_not_taken(wrong) -> None:
    device = Authenticator()
    options = passkeys.creation_options(PARTY, CHALLENGE, PERSON, "Ann")
    with pytest.raises(InvalidValueError):
        passkeys.created(PARTY, CHALLENGE, device.create(options, **wrong), "")


@pytest.mark.parametrize("rp_id", ["evil.example", "host"])
def test_a_passkey_of_another_domain_does_not_sign_in(rp_id) -> None:
    device = Authenticator()
    known = made(device)
    device.rp_id = rp_id
    with pytest.raises(InvalidValueError):
        passkeys.shown(PARTY, OTHER, device.get(passkeys.request_options(PARTY, OTHER)), known)


def test_an_answer_to_another_challenge_or_of_another_key_does_not_sign_in() -> None:
    device = Authenticator()
    known = made(device)
    answer = device.get(passkeys.request_options(PARTY, CHALLENGE))
    with pytest.raises(InvalidValueError):
        passkeys.shown(PARTY, OTHER, answer, known)

    twin = Authenticator(id=device.id)
    with pytest.raises(InvalidValueError):
        passkeys.shown(PARTY, OTHER, twin.get(passkeys.request_options(PARTY, OTHER)), known)


def test_a_copied_passkey_is_found_by_its_count() -> None:
    device = Authenticator(count=7)
    known = replace(made(device), sign_count=9)
    with pytest.raises(InvalidValueError):
        passkeys.shown(PARTY, OTHER, device.get(passkeys.request_options(PARTY, OTHER)), known)


@pytest.mark.parametrize("answer", [{}, {"id": 5}, {"id": "!!"}, {"response": []}])
def test_what_is_no_answer_is_refused(answer) -> None:
    assert isinstance(passkeys.subject_of(answer), str)
    with pytest.raises(InvalidValueError):
        passkeys.created(PARTY, CHALLENGE, answer, "")


def test_an_authenticator_is_told_what_it_holds_already() -> None:
    known = made(Authenticator())
    options = passkeys.creation_options(PARTY, CHALLENGE, PERSON, "Ann", [known])
    assert len(options["excludeCredentials"]) == 1
    assert options["authenticatorSelection"]["residentKey"] == "required"
    wallet = replace(known, kind=CredentialKind.WALLET, subject="0x" + "00" * 32)
    options = passkeys.creation_options(PARTY, CHALLENGE, PERSON, "Ann", [wallet])
    assert options["excludeCredentials"] == []


@pytest.mark.parametrize(
    ("url", "rp_id"),
    [
        ("https://live.example.org", "live.example.org"),
        ("https://live.example.org:8443", "live.example.org"),
        ("http://localhost:8080", "localhost"),
        ("http://127.0.0.1:8080", None),
        ("https://192.0.2.1", None),
        ("https://[2001:db8::1]", None),
        ("http://live.example.org", None),
    ],
)
def test_browsers_make_passkeys_for_names_over_https(url, rp_id) -> None:
    party = relying_party(url)
    assert (party.id if party else None) == rp_id


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://Live.Example.org", "https://live.example.org"),
        ("https://live.example.org:443", "https://live.example.org"),
        ("https://live.example.org:8443", "https://live.example.org:8443"),
        ("http://localhost:80", "http://localhost"),
        ("http://[2001:DB8::1]:8080", "http://[2001:db8::1]:8080"),
    ],
)
def test_our_origin_is_written_as_browsers_write_it(url, wanted) -> None:
    """Else every request of a page of ours is one from another page."""
    assert origin(url) == wanted
