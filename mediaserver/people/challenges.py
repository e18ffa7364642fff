"""Challenges under way: each once, for who has its secret, for some minutes.

They are in memory: who is in the middle of signing in when control restarts begins again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from mediaserver.http.client_address import bound_key
from mediaserver.people import tokens

LIFE_MS: Final = 5 * 60_000
ALL_MAX: Final = 20_000
PER_ADDRESS_MAX: Final = 200
"""A whole school behind one address signs in at the bell."""
CHALLENGE_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Challenge:
    """What was asked of a browser.

    Attributes:
        purpose: What for: one for signing in opens no second credential.
        person: Whom it is for, where that is known: an id that may not be a person's yet.
        note: What else the answer needs, such as the name of who signs up.
    """

    purpose: str
    value: bytes
    expires_ms: int
    address: str
    person: str = ""
    note: str = ""


class Challenges:
    """Challenges by the secret that the browser holds."""

    def __init__(self) -> None:
        self._open: dict[bytes, Challenge] = {}
        self._counts: dict[str, int] = {}
        self._forgot_ms = 0

    def begin(
        self,
        purpose: str,
        now_ms: int,
        address: str,
        person: str = "",
        note: str = "",
        *,
        letter_to: str = "",
        life_ms: int = LIFE_MS,
    ) -> tuple[str, Challenge] | None:
        """Return the browser's secret and a new challenge, None when too many are under way.

        Args:
            address: From where; they are counted by it, of IPv6 by its network.
            letter_to: Where a letter goes with the secret: counted by that instead.
        """
        self._forget(now_ms)
        address = _letter_key(letter_to) if letter_to else bound_key(address)
        if len(self._open) >= ALL_MAX or self._counts.get(address, 0) >= PER_ADDRESS_MAX:
            return None
        secret = tokens.new_secret()
        made = Challenge(
            purpose,
            secrets.token_bytes(CHALLENGE_BYTES),
            now_ms + life_ms,
            address,
            person,
            note,
        )
        self._open[tokens.sha256(secret)] = made
        self._counts[address] = self._counts.get(address, 0) + 1
        return secret, made

    def take(self, purpose: str, secret: str, now_ms: int) -> Challenge | None:
        """Return what was asked of a browser, and forget it; None when it was nothing such."""
        challenge = self._open.get(tokens.sha256(secret))
        if challenge is None or challenge.purpose != purpose:
            return None
        self._remove(tokens.sha256(secret))
        return challenge if now_ms < challenge.expires_ms else None

    def count_letters(self, to: str, now_ms: int) -> int:
        """Return how many letters to a mail address are under way."""
        self._forget(now_ms)
        return self._counts.get(_letter_key(to), 0)

    def _forget(self, now_ms: int) -> None:
        """Remove what is over; looked through at most once a second."""
        if now_ms - self._forgot_ms < 1000:
            return
        self._forgot_ms = now_ms
        for digest, challenge in list(self._open.items()):
            if now_ms >= challenge.expires_ms:
                self._remove(digest)

    def _remove(self, digest: bytes) -> None:
        address = self._open.pop(digest).address
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]


def _letter_key(to: str) -> str:
    return f"mail {to}"
