"""Waits on the event loop until marks have come back from the codec threads."""

from __future__ import annotations

import asyncio


class Countdown:
    """Waits until as many have come as were expected."""

    def __init__(self) -> None:
        self._left = 0
        self._done = asyncio.Event()
        self._done.set()

    def expect(self, count: int) -> None:
        """Wait for `count` more."""
        self._left += count
        if self._left:
            self._done.clear()

    def reached(self) -> None:
        """Count an arrival."""
        self._left -= 1
        if not self._left:
            self._done.set()

    async def wait(self) -> None:
        """Return when all have come."""
        await self._done.wait()
