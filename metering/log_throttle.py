"""When a trouble that goes on is worth another log line: at once, when it changes, each minute.

What is tried twice a second for a night must not fill the disk with the same line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 60.0
"""A log's reader sees that it goes on, in sixty lines an hour."""


class Trouble:
    """One kind of trouble of one task.

    Args:
        monotonic: Seconds that never step.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._reason: str | None = None
        self._told_at_s = 0.0
        self._count = 0

    def met(self, reason: str) -> int:
        """Return how often it was met since it was last told, 0 when it need not be told now."""
        self._count += 1
        now_s = self._monotonic()
        if reason == self._reason and now_s - self._told_at_s < AGAIN_S:
            return 0
        count, self._count = self._count, 0
        self._reason, self._told_at_s = reason, now_s
        return count

    def over(self) -> None:
        """It went well: the next trouble is a new one."""
        self._reason, self._count = None, 0
