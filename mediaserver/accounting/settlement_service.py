"""Control's end of settlement: which chain, by which submitter lease, and what is measured of it.

With ``chain.backend = "journal"`` batches go into the book's own journal. With ``"substrate"`` they
go to the settler process over ``run/chain.sock``; while that is away batches wait, and viewers go
on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Gauge

from mediaserver.accounting.remote_chain import SOCKET, RemoteChain
from mediaserver.clock import Clock
from mediaserver.ipc.client import CallClient
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.ports import Chain
from metering.settlement.cutter import Cutter
from metering.settlement.journal import Journal
from metering.settlement.progress import Progress
from metering.settlement.settler import Settler
from metering.settlement.submitter_lease import RedisSubmitterLease
from metering.signing import KeyPair
from metering.store.client import Store
from metering.units import AccountId

SUBSTRATE: Final = "substrate"
POLL_S: Final = 1.0
IDLE_S_MAX: Final = 5.0
"""A third of the time for which a submitter's lease holds (submitter_lease.py)."""

_LAG: Final = Gauge("metering_settlement_lag_seconds", "Age of the oldest batch that is not final")
_EXPOSURE: Final = Gauge("metering_settlement_exposure_planck", "Booked and not final")
_IN_FLIGHT: Final = Gauge("metering_settlement_in_flight", "Batches signed and not final")
_IN_BLOCK: Final = Gauge("metering_settlement_in_block", "Of those, in the best chain")
_FINALIZED: Final = Gauge("metering_settlement_finalized_block", "Newest finalized block seen")
_BEST: Final = Gauge("metering_settlement_best_block", "Newest block seen")
_COUNTERS: Final = {
    "signed": Counter("metering_settlement_attempts", "Signed attempts at batches"),
    "resigned": Counter("metering_settlement_resigns", "Attempts after an earlier one had died"),
    "settled": Counter("metering_settlement_batches", "Batches closed as final"),
    "refused": Counter("metering_settlement_refused_entries", "Entries refused in final batches"),
}


def idle_s(batch_period_s: int) -> float:
    """Return how long the settler waits when no batch is open.

    The next one is sealed at most this much late: a sixth of the period, and well within the time
    for which a submitter's lease holds.
    """
    return min(max(POLL_S, batch_period_s / 6), IDLE_S_MAX)


class Settlement:
    """Makes the settler of each life of the store, and measures it."""

    def __init__(
        self,
        settings: Settings,
        book: AsyncBook,
        operator: KeyPair,
        clock: Clock,
        run_dir: Path,
    ) -> None:
        self._settings = settings.chain
        self._book = book
        self._operator = operator
        self._clock = clock
        self._remote = CallClient(run_dir / SOCKET)
        self._lease: RedisSubmitterLease | None = None
        self._settler: Settler | None = None
        self._told = Progress()

    @property
    def is_local(self) -> bool:
        """Return True when batches go to the book's own journal."""
        return self._settings.backend != SUBSTRATE

    @property
    def progress(self) -> Progress:
        """Return what settlement has come to since the store was last recovered."""
        return Progress() if self._settler is None else self._settler.progress

    @property
    def remote(self) -> CallClient:
        """Return the client of the settler process."""
        return self._remote

    def settler(
        self,
        store: Store,
        cutter: Cutter,
        gave_back: Callable[[AccountId], None],
        adopted: Callable[[], Awaitable[None]] | None = None,
    ) -> Settler:
        """Return the settler of one life of the store; it calls the others as it says."""
        chain: Chain
        if self.is_local:
            now_ms, finality_ms = self._clock.now_ms, self._settings.finality_ms
            chain = Journal(self._book, self._operator, now_ms, finality_ms)
            self._lease = None
        else:
            chain = RemoteChain(self._remote)
            self._lease = RedisSubmitterLease(store, self._book, self._operator.account)
        self._told = Progress()
        self._settler = Settler(
            self._book,
            chain,
            settings=self._settings,
            now_ms=self._clock.now_ms,
            operator=self._operator,
            forget=cutter.forget_final,
            lease=self._lease,
            adopted=adopted,
            gave_back=gave_back,
            idle_s=idle_s(self._settings.batch_period_s),
        )
        return self._settler

    def measure(self) -> None:
        """Set the metrics to what the settler has come to."""
        if self._settler is None:
            return
        now = self._settler.progress
        _LAG.set(now.lag_ms / 1000)
        _EXPOSURE.set(now.exposure_planck)
        _IN_FLIGHT.set(now.in_flight)
        _IN_BLOCK.set(now.in_block)
        _FINALIZED.set(now.finalized)
        _BEST.set(now.best)
        for name, counter in _COUNTERS.items():
            counter.inc(getattr(now, name) - getattr(self._told, name))
        self._told = dataclasses.replace(now)

    async def pause(self) -> None:
        """Give the submitter lease back: the settler of this life of the store has ended."""
        if self._lease is not None:
            await self._lease.give_back()

    async def close(self) -> None:
        """End the connection to the settler process."""
        await self._remote.close()
