"""The one clock of the tests: it moves when a test moves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    """A `mediaserver.clock.Clock`; called, it is the function that many take as `now_ms`.

    Attributes:
        wall_ms: Unix time.
        seconds: The monotonic clock.
        leap_s: Added at each reading of the monotonic clock, so that waits end.
    """

    wall_ms: int = 1_700_000_000_000
    seconds: float = 1000.0
    leap_s: float = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        self.seconds += self.leap_s
        return self.seconds

    def move(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.seconds += seconds
        self.wall_ms += round(seconds * 1000)

    def __call__(self) -> int:
        return self.wall_ms
