"""The clock that shells are handed, so that tests can hand them another."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time."""

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds: for the timeline, tokens and prices."""

    def monotonic(self) -> float:
        """Return seconds that never step: for durations, waits and time-outs."""


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Return `time.monotonic`."""
        return time.monotonic()
