"""How often somebody may try a password of a stream; bounded.

Tries are counted by who tries and from where, and are refused before anything is computed. Of a
stream they only make answers to wrong ones wait: who knows the password is not kept out by those
who guess.
"""

from __future__ import annotations

from typing import Final

from mediaserver.http.client_address import bound_key
from mediaserver.http.wrong_keys import WrongKeys

PERIOD_MS: Final = 3_600_000
PER_PERSON_MAX: Final = 10
"""Wrong ones within an hour: a person who mistypes it, and some more."""
PER_ADDRESS_MAX: Final = 100
"""A school class behind one address that was told the wrong one."""
KEYS_MAX: Final = 100_000


class PasswordTries:
    """Wrong tries of the current hour."""

    def __init__(self) -> None:
        self._period = 0
        self._counts: dict[str, int] = {}
        self._streams = WrongKeys()

    def take(self, person: str, address: str, now_ms: int) -> bool:
        """Count one more try; return False when it is one too many, and not to be looked at."""
        period = now_ms // PERIOD_MS
        if period != self._period:
            self._period = period
            self._counts.clear()
        wanted = ((f"p{person}", PER_PERSON_MAX), (f"a{bound_key(address)}", PER_ADDRESS_MAX))
        if any(self._counts.get(key, 0) >= most for key, most in wanted):
            return False
        if len(self._counts) >= KEYS_MAX:
            return False
        for key, _ in wanted:
            self._counts[key] = self._counts.get(key, 0) + 1
        return True

    def was_right(self, person: str, address: str) -> None:
        """Count the newest try not: it was right."""
        for key in (f"p{person}", f"a{bound_key(address)}"):
            self._counts[key] = max(self._counts.get(key, 0) - 1, 0)

    def wait_s(self, stream: str, now_s: float) -> float:
        """Count a wrong one of a stream; return how long its answer waits.

        Args:
            now_s: Seconds that never step.
        """
        return self._streams.add(stream, now_s)
