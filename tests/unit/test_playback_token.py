"""Viewer sessions and tokens: only what we signed, for as long as we said, in one spelling."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.errors import AccessDeniedError
from mediaserver.playback_token import (
    JOIN_FIRST,
    TOKEN_CHARACTERS,
    Grant,
    mint,
    new_session,
    verify,
)
from metering.units import AccountId, SessionId

ACCOUNT = AccountId(bytes(32))
KEYS = [(7, b"seven" * 8), (3, b"three" * 8)]
GRANT = Grant(AccountId(bytes(range(32))), UUID(int=5), SessionId(1 << 63), 2000)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(
    st.builds(
        Grant,
        st.binary(min_size=32, max_size=32).map(AccountId),
        st.uuids(),
        st.integers(0, (1 << 64) - 1).map(SessionId),
        st.integers(1, (1 << 32) - 1),
    )
)
def test_a_token_says_again_what_was_granted(grant: Grant) -> None:
    """What control grants is what every process reads."""
    token = mint(grant, KEYS)

    assert verify(token, KEYS, grant.expires_s - 1) == grant
    assert len(token) == TOKEN_CHARACTERS


def test_a_token_of_an_older_key_holds_until_the_key_is_removed() -> None:
    """Rotating keys logs nobody out; removing one does."""
    token = mint(GRANT, KEYS[1:])

    assert verify(token, KEYS, 1) == GRANT
    with pytest.raises(AccessDeniedError, match="403 key"):
        verify(token, KEYS[:1], 1)


@pytest.mark.parametrize(
    ("token", "now_s", "answer"),
    [
        ("", 1, "401 token"),
        ("short", 1, "403 malformed"),
        ("é" * TOKEN_CHARACTERS, 1, "403 malformed"),
        ("A" * TOKEN_CHARACTERS, 1, "403 malformed"),
        (mint(GRANT, KEYS), 2000, "403 expired"),
        (mint(GRANT, [(7, b"other")]), 1, "403 signature"),
        (mint(GRANT, KEYS)[:-4] + "====", 1, "403 malformed"),
        (mint(GRANT, KEYS)[:-4] + "!!!!", 1, "403 malformed"),
    ],
)
def test_a_bad_token_is_refused_with_its_reason(token: str, now_s: int, answer: str) -> None:
    """The player is told what to do about it."""
    with pytest.raises(AccessDeniedError, match=answer):
        verify(token, KEYS, now_s)


@given(st.integers(0, TOKEN_CHARACTERS - 1), st.sampled_from(ALPHABET + "+/= "))
def test_changing_any_character_breaks_a_token(index: int, character: str) -> None:
    """No bit of a token is free, and none has a second spelling."""
    token = mint(GRANT, KEYS)
    changed = token[:index] + character + token[index + 1 :]

    if changed != token:
        with pytest.raises(AccessDeniedError):
            verify(changed, KEYS, 1)


def test_a_m1_a_token_ends_with_its_session_at_the_latest() -> None:
    """A player's right ends when its token does, and no token outlives the session or its join."""
    made = new_session(7, ACCOUNT, uuid4(), 1_000, 60, ends_ms=100_000)
    last = new_session(7, ACCOUNT, uuid4(), 90_000, 60, ends_ms=100_000)
    joined = new_session(7, ACCOUNT, uuid4(), 1_000, 60, ends_ms=100_000, till_ms=9_000)

    assert (made.session, made.created_ms, made.expires_ms) == (7, 1_000, 61_000)
    assert made.join == JOIN_FIRST
    assert (last.expires_ms, joined.expires_ms) == (100_000, 9_000)


@pytest.mark.parametrize("number", [0, -1, 1 << 64])
def test_an_id_that_is_nobodys_is_refused(number) -> None:
    """Ids fit the 64 bits that tokens and logs give them, and 0 is no session."""
    with pytest.raises(ValueError, match="64 bits"):
        new_session(number, ACCOUNT, uuid4(), 0, 60, ends_ms=60_000)
