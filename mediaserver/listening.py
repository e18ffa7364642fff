"""Time that we listened: waits and time-outs that a stall of our own does not shorten.

A process that stood still for five seconds (a busy machine, a paused one) finds every deadline past
when it goes on, and what it waited for still unread in its sockets: timers run before those. So
its seconds stand still with it: a deadline is over when we have listened for that long.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from mediaserver.clock import Clock

BEAT_S: Final = 0.25
STALL_S: Final = 0.6
"""Two beats and some: the event loop of a busy machine is late by as much without having stood."""


class ListeningClock:
    """A clock whose monotonic seconds pass only while the event loop runs.

    Attributes:
        stalled_s: How long it stood still altogether.
    """

    def __init__(self, clock: Clock) -> None:
        self.stalled_s = 0.0
        self._clock = clock
        self._heard_s: float | None = None

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds: the world's time, stalls included."""
        return self._clock.now_ms()

    def monotonic(self) -> float:
        """Return seconds that we listened, since whatever instant."""
        now_s = self._clock.monotonic()
        if self._heard_s is not None:
            self.stalled_s += max(0.0, now_s - self._heard_s - STALL_S)
            self._heard_s = now_s
        return now_s - self.stalled_s

    async def listen(self) -> None:
        """Beat until cancelled; without that, all seconds count."""
        self._heard_s = self._clock.monotonic()
        try:
            while True:
                await asyncio.sleep(BEAT_S)
                self.monotonic()
        finally:
            self._heard_s = None


@contextlib.asynccontextmanager
async def timeout(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Limit the block to `seconds` of a clock, as `asyncio.timeout` does to the loop's.

    Raises:
        TimeoutError: They are over.
    """
    loop = asyncio.get_running_loop()
    deadline_s = clock.monotonic() + seconds
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as scope:

        def look() -> None:
            nonlocal timer
            left_s = deadline_s - clock.monotonic()
            if left_s <= 0:
                scope.reschedule(loop.time())
            else:
                timer = loop.call_later(left_s, look)

        timer = loop.call_later(seconds, look)
        try:
            yield
        finally:
            timer.cancel()
