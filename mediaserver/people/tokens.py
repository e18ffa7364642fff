"""What opens something: made here, shown once, and kept as its hash."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

SECRET_BYTES: Final = 32
"""256 random bits."""
ID_BYTES: Final = 8
PERSON_ID_BYTES: Final = 16


def new_secret() -> str:
    """Return a secret as 43 characters that may stand in an address or a header."""
    return secrets.token_urlsafe(SECRET_BYTES)


def new_id() -> str:
    """Return the id of a row: 16 hexadecimal digits that open nothing."""
    return secrets.token_hex(ID_BYTES)


def new_person_id() -> str:
    """Return the id of a person."""
    return secrets.token_hex(PERSON_ID_BYTES)


def sha256(secret: str) -> bytes:
    """Return what is kept of a secret, 32 bytes."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
