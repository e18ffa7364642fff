"""How long the answer to a wrong key waits, by who asks. Pure.

A key of 192 random bits is not guessed: what is kept off here is the work that guessing makes. A
right key is never slowed, however many others are behind the same address.
"""

from __future__ import annotations

from typing import Final

FREE: Final = 2
"""A person who pastes the wrong key, and once more."""
FIRST_S: Final = 0.25
LONGEST_S: Final = 4.0
FORGIVEN_EACH_S: Final = 10.0
"""An encoder that repeats a wrong key all day (OBS: each 10 s) stays where it is."""
ADDRESSES_MAX: Final = 10_000


class WrongKeys:
    """Wrong keys of each address of late; bounded."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[float, float]] = {}

    def add(self, key: str, now_s: float) -> float:
        """Count one more of an address.

        Args:
            key: What bounds count the address by (`client_address.bound_key`).
            now_s: Seconds that never step.

        Returns:
            Seconds to wait before it is answered.
        """
        count, at_s = self._counts.pop(key, (0.0, now_s))
        count = max(count - (now_s - at_s) / FORGIVEN_EACH_S, 0.0) + 1
        while len(self._counts) >= ADDRESSES_MAX:
            self._counts.pop(next(iter(self._counts)))
        self._counts[key] = (count, now_s)
        over = count - FREE
        if over <= 0:
            return 0.0
        return min(FIRST_S * 2 ** min(over - 1, 16), LONGEST_S)
