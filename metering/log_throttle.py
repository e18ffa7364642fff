"""When a failure that lasts is worth another log line: at once, when it changes, each minute.

What is tried twice a second for a night must not fill the disk with the same line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 60.0
"""A log's reader sees that it lasts, in sixty lines an hour."""


class LogThrottle:
    """One kind of failure of one task.

    Args:
        monotonic: Seconds that never step.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._reason: str | None = None
        self._logged_at_s = 0.0
        self._count = 0

    def failed(self, reason: str) -> int:
        """Return how many failures one log line counts now, 0 when none is to be written."""
        self._count += 1
        now_s = self._monotonic()
        if reason == self._reason and now_s - self._logged_at_s < AGAIN_S:
            return 0
        count, self._count = self._count, 0
        self._reason, self._logged_at_s = reason, now_s
        return count

    def succeeded(self) -> None:
        """Note a success: the next failure is a new one."""
        self._reason, self._count = None, 0
