"""Viewer sessions as values."""

from uuid import uuid4

import pytest

from mediaserver.access.sessions import JOIN_FIRST, new_session
from metering.units import AccountId

ACCOUNT = AccountId(bytes(32))


def test_a_session_expires_with_its_token() -> None:
    """A player's right ends when its token does."""
    made = new_session(7, ACCOUNT, uuid4(), 1_000, 60)

    assert (made.session, made.created_ms, made.expires_ms) == (7, 1_000, 61_000)
    assert made.join == JOIN_FIRST


@pytest.mark.parametrize("number", [0, -1, 1 << 64])
def test_an_id_that_is_nobodys_is_refused(number) -> None:
    """Ids fit the 64 bits that tokens and logs give them, and 0 is no session."""
    with pytest.raises(ValueError, match="64 bits"):
        new_session(number, ACCOUNT, uuid4(), 0, 60)
