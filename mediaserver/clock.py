"""The clock that shells are handed, so that tests can hand them another."""

from __future__ import annotations

import time
from typing import Final, Protocol

SLEW_PPM: Final = 1_000
"""A machine's clock that is off by a second is followed within 17 minutes. Half of the media
timeline's own slew, so that it always comes along."""
FOLLOW_NS: Final = 10_000_000
"""How often the machine's clock is looked at: what it may move by meanwhile is 10 us."""
_MILLION: Final = 1_000_000
_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, and is one for all its processes."""


class Clock(Protocol):
    """Two readings of time."""

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds: for the timeline, tokens and prices."""

    def monotonic(self) -> float:
        """Return seconds that never step: for durations, waits and time-outs."""


class Slew:
    """The difference of Unix time and the machine's uptime, which never steps. Pure.

    A machine's clock that is set moves it slowly: no second comes twice or not at all.

    Attributes:
        offset_ns: What makes Unix time of an uptime.
    """

    def __init__(self, uptime_ns: int, unix_ns: int) -> None:
        """Anchor it: at `uptime_ns` the machine's clock says `unix_ns`."""
        self.offset_ns = unix_ns - uptime_ns
        self._slewed_ns = uptime_ns

    def follow(self, uptime_ns: int, unix_ns: int) -> int:
        """Move towards what the machine's clock says now, by what the time since allows."""
        room_ns = max(0, uptime_ns - self._slewed_ns) * SLEW_PPM // _MILLION
        self._slewed_ns = max(self._slewed_ns, uptime_ns)
        error_ns = unix_ns - uptime_ns - self.offset_ns
        self.offset_ns += max(-room_ns, min(room_ns, error_ns))
        return self.offset_ns


class SystemClock:
    """A clock of this process alone: anchored when it is made, then slewed."""

    def __init__(self) -> None:
        self._slew = Slew(uptime_ns(), time.time_ns())
        self._followed_ns = 0
        self._newest_ms = 0

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds; it never goes back."""
        uptime = uptime_ns()
        if uptime - self._followed_ns >= FOLLOW_NS:
            self._followed_ns = uptime
            self._slew.follow(uptime, time.time_ns())
        unix_ms = (uptime + self._slew.offset_ns) // _MILLION
        self._newest_ms = max(self._newest_ms, unix_ms)
        return self._newest_ms

    monotonic = staticmethod(time.monotonic)


def uptime_ns() -> int:
    """Return nanoseconds since the machine started, its sleep included."""
    return time.clock_gettime_ns(_BOOT)
