"""Passwords that people choose, kept as argon2id (RFC 9106). A call takes 30 ms of a core."""

from __future__ import annotations

import functools
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

CHARACTERS_MIN: Final = 8
"""NIST SP 800-63B, 5.1.1.1; tries are slowed by who asks."""
CHARACTERS_MAX: Final = 200
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""19 MiB, two passes: the least that OWASP names for argon2id, as strangers make us compute it."""


def hashed(password: str) -> str:
    """Return what is kept of a password: algorithm, costs, salt and hash as text."""
    return _HASHER.hash(password)


def is_right(kept: str, password: str) -> bool:
    """Return whether a password is the one that `kept` was made of.

    Args:
        kept: Empty where there is none: it takes as long, and nothing is right.
    """
    try:
        return _HASHER.verify(kept or _nobodys(), password) and bool(kept)
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _nobodys() -> str:
    """Return what is compared where there is none, so that the time does not tell."""
    return hashed("nobody's")
