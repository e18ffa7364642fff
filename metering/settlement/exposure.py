"""What is booked and not final, so what would be lost if no batch ever were; and its alarm."""

from __future__ import annotations

from typing import Final

import structlog

from metering.book.async_book import AsyncBook
from metering.units import Planck

PERIOD_MS: Final = 10_000
"""A cut period: what is booked changes no faster."""

_log = structlog.get_logger(room="settlement")


class Exposure:
    """Adds it up now and then, and logs when it crosses its threshold, either way.

    Args:
        alarm: The threshold; 0 is none.

    Attributes:
        planck: As of the last look.
    """

    def __init__(self, book: AsyncBook, alarm: Planck) -> None:
        self.planck = Planck(0)
        self._book = book
        self._alarm = alarm
        self._looked_ms = 0
        self._is_high = False

    async def look(self, now_ms: int) -> None:
        """Add it up, unless that was done a moment ago.

        Raises:
            BookError: The book does not answer.
        """
        if 0 <= now_ms - self._looked_ms < PERIOD_MS:
            return
        self._looked_ms = now_ms
        _, self.planck = await self._book.run(lambda book: book.settlements.exposure())
        is_high = 0 < self._alarm <= self.planck
        if is_high and not self._is_high:
            _log.error("settlement.exposure.high", **self._said())
        elif self._is_high and not is_high:
            _log.info("settlement.exposure.normal", **self._said())
        self._is_high = is_high

    def _said(self) -> dict[str, str]:
        return {"planck": str(self.planck), "alarm_planck": str(self._alarm)}
