"""What asks for a new policy of the HTTP processes, and who waits until they were sent one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

SENT_WAIT_S: Final = 2.0
"""For a policy to leave: a book that cannot be read must not keep an answer back."""
REST: Final = 3
"""Times what a policy took to make: while changes come in without end, it takes a quarter of us."""
REST_MIN_S: Final = 0.04
"""Changes that come one after the other share what is told: each takes some ms of the book."""
REST_MAX_S: Final = 0.5
"""A bar holds within one second (docs/api.md), a policy of 10,000 streams on its way included."""


class PolicyChanges:
    """Wakes the maker of policies, and knows up to which change they were sent."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._event = asyncio.Event()
        self._asked = 0
        self._sent = 0
        self._began_s = 0.0
        self._news = asyncio.Condition()

    def ask(self) -> None:
        """Ask for a policy: something that HTTP processes must know has changed."""
        self._asked += 1
        self._event.set()

    async def sent(self, timeout_s: float = SENT_WAIT_S) -> None:
        """Wait until what was asked for up to now was sent, at most so long."""
        wanted = self._asked
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._news:
                await self._news.wait_for(lambda: self._sent >= wanted)

    def begin(self) -> int:
        """Begin to make a policy; what is asked for from here on wants another one."""
        self._event.clear()
        self._began_s = self._monotonic()
        return self._asked

    async def finish(self, number: int) -> None:
        """Say that the policy was sent that `begin` gave this number to."""
        async with self._news:
            self._sent = number
            self._news.notify_all()

    async def next(self, period_s: float) -> None:
        """Wait until a policy is asked for, at most so long; and let others work meanwhile.

        The first, of 10,000 streams, takes half a second, and so does a change of all of them.
        """
        now_s = self._monotonic()
        rest_until_s = now_s + min(REST_MAX_S, max(REST_MIN_S, REST * (now_s - self._began_s)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(period_s):
                await self._event.wait()
        await asyncio.sleep(max(0.0, rest_until_s - self._monotonic()))
