"""Makes batches of what is booked: when it is time, and no larger than the chain takes."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from metering.book.async_book import AsyncBook
from metering.errors import BatchTooLargeError
from metering.ports import Chain, ChainLimits
from metering.settings import ChainSettings

_log = structlog.get_logger(room="settlement")


class Sealer:
    """Seals entries, and seals them again in smaller batches when a block does not take them.

    Attributes:
        limits: What the chain takes, as last read.
        has_found_none: The last `seal` was due and nothing was there to be sealed.
    """

    def __init__(
        self,
        book: AsyncBook,
        chain: Chain,
        settings: ChainSettings,
        now_ms: Callable[[], int],
    ) -> None:
        self.limits = ChainLimits(None, 1)
        self.has_found_none = False
        self._book = book
        self._chain = chain
        self._settings = settings
        self._now_ms = now_ms
        self._entries_max: int | None = None

    async def learn(self) -> None:
        """Ask what the chain takes; while it is away, the last limits hold.

        Raises:
            ChainError: It is away, or cannot be used.
        """
        self.limits = await self._chain.limits()

    async def seal(self, *, is_due: bool | None) -> bool:
        """Seal what waits, if it is time; return True when anything was.

        Args:
            is_due: None: when `batch_period_s` is over.

        Raises:
            BookError: The book does not answer.
        """
        self.has_found_none = False
        now_ms = self._now_ms()
        if is_due is None:
            last_ms = await self._book.run(lambda book: book.settlements.last_sealed_ms())
            is_due = now_ms - last_ms >= self._settings.batch_period_s * 1000
        if not is_due:
            return False
        bound = self._bound()
        sealed = await self._book.run(lambda book: book.settlements.seal(now_ms, bound))
        for batch in sealed:
            _log.info("settlement.batch.sealed", batch_id=batch.seq, entries=batch.entry_count)
        self.has_found_none = not sealed
        return bool(sealed)

    def narrow(self, error: BatchTooLargeError) -> None:
        """Remember that no block takes more."""
        self._entries_max = min(error.entries_max, self._entries_max or error.entries_max)

    async def split(self, first: int, token: int, reason: str) -> None:
        """Seal the batches from `first` on again, in smaller ones: nothing of them is alive.

        Args:
            first: Number of the one that is too large.
            token: Fencing token of the submitter (outbox.py).

        Raises:
            BookError: The book does not answer.
            SubmitterLostError: Another settler holds the operator's key.
        """
        bound, now_ms = self._bound(), self._now_ms()
        new = await self._book.run(lambda book: book.outbox.split(first, bound, now_ms, token))
        _log.warning(
            "settlement.batch.split",
            batch_id=first,
            batches=len(new),
            entries_max=bound,
            reason=reason,
        )

    def _bound(self) -> int:
        """Return how many entries a new batch may have."""
        bounds = (self._settings.batch_entries_max, self.limits.entries_max, self._entries_max)
        return min(bound for bound in bounds if bound is not None)
