"""Supervises the store: its recovery from the book, cuts and settlement.

The store is lent to handlers only while it is the one that was last recovered. When it is another
one (restarted, failed over, emptied), lending stops, its borrowers give it back, it is rebuilt from
the book, and lending begins again. So it is when another server has the lock on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import islice
from typing import Any, Final
from uuid import UUID

from prometheus_client import Counter, Gauge

from mediaserver import log
from mediaserver.accounting.escrow_service import Escrow
from mediaserver.accounting.pass_sales import Ask, Limits, Pay, Sale, sell, settle, settle_all
from mediaserver.accounting.recovery_policy import recovery_policy
from mediaserver.accounting.report import as_json
from mediaserver.accounting.settlement_service import Settlement
from mediaserver.accounting.store_wait import StoreWait
from mediaserver.accounting.take_out import T, take_out
from mediaserver.accounting.tasks import end_tasks
from mediaserver.clock import Clock
from mediaserver.settings.effective import shown_url
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.errors import BookError, MeteringError, StoreRefusedError, StoreUnavailableError
from metering.model.ledger import NOBODY
from metering.recovery.reconcile import reconcile
from metering.recovery.recovery import Recovery, recover
from metering.settlement.cutter import Cutter
from metering.store.client import Store
from metering.store.owned_store import Owner
from metering.store.store_lock import StoreLock
from metering.units import AccountId, Planck, Units

WATCH_S: Final = 0.5
"""How often control looks whether the store is still the same."""
WATCH_QUIET_S: Final = 2.0
"""The same while nobody writes to it: nobody is charged, so nobody waits for a recovery."""
LAST_CUT_TIMEOUT_S: Final = 1.0
"""Of the drain time-out: what is not cut now is cut after the next start."""
APPLIED_PER_LOOK: Final = 200
"""Deposits written again between two looks: they take a tenth of the time, some 0.2 ms each."""

_READY: Final = Gauge("metering_store_ready", "1 while control has recovered the store it sees")
_RECOVERIES: Final = Counter("metering_store_recoveries", "Times the store was rebuilt")
_RESTORES: Final = Counter("metering_book_restores", "Times the book was found to be an older one")
_UNBILLED: Final = Gauge(
    "metering_unbilled_ticks", "Seconds that were delivered and never billed", ("why",)
)

_log = log.get("money")


class StoreSupervisor:
    """Keeps store and book in step for as long as it runs.

    Attributes:
        recovery: What was last done to the store; None before it was first recovered.
        wait: What keeps it from being lent.
    """

    def __init__(
        self,
        settings: Settings,
        redis_url: str,
        book: AsyncBook,
        *,
        owner: Owner,
        clock: Clock,
        changed: Callable[[], None],
        newest_ticks: Callable[[], Awaitable[dict[UUID, int]]],
        settlement: Settlement,
        escrow: Escrow | None = None,
    ) -> None:
        """Take collaborators.

        Args:
            owner: This server, as the store knows it.
            changed: Called when HTTP processes must know of another store.
            newest_ticks: Returns the newest second that each stream ever planned.
            escrow: Source of deposits and joins; None without a chain.
        """
        self.recovery: Recovery | None = None
        self.run_id = ""
        self._settings = settings
        self._redis_url = redis_url
        self._book = book
        self._clock = clock
        self._changed = changed
        self._newest_ticks = newest_ticks
        self._settlement = settlement
        self._escrow = escrow
        self._following: list[asyncio.Task[None]] = []
        self._store: Store | None = None
        self._is_ready = False
        self._lent = 0
        self._given_back = asyncio.Condition()
        self._stop = asyncio.Event()
        # Set by a stop and by the loss of the lock: nobody waits out a period then.
        self._woken = asyncio.Event()
        self._lock = StoreLock(owner, self._lose)
        # A dict for its order: first put, first written.
        self._apply_later: dict[AccountId, None] = {}
        self._applying = asyncio.Lock()
        self._has_looked_back = False
        place = shown_url(settings.metering.redis_url) or "the server's own Redis"
        self.wait = StoreWait(place, clock.now_ms, changed)
        self.refused = asyncio.Event()
        self.refusal = ""

    @property
    def is_ready(self) -> bool:
        """Return True while the store is connected and recovered."""
        return self._is_ready

    @property
    def epoch(self) -> str:
        """Return what claims must carry; empty while none may pass: not recovered, or not ours."""
        return self.recovery.epoch if self.recovery and self._lock.is_held else ""

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[Store]:
        """Lend the store; it is not rebuilt until it is given back.

        Raises:
            StoreUnavailableError: It is away or not recovered yet.
        """
        if self._store is None or not self._is_ready:
            raise StoreUnavailableError("Redis is away or being recovered; try again in a second")
        self._lent += 1
        try:
            yield self._store
        finally:
            self._lent -= 1
            async with self._given_back:
                self._given_back.notify_all()

    def apply_later(self, account: AccountId) -> None:
        """Remember an account whose deposits the store does not have yet."""
        self._apply_later[account] = None

    async def apply_deposits(self, store: Store, account: AccountId) -> None:
        """Write to a lent store what an account paid in, and its passes.

        One at a time: the last sum written counts, and of two top-ups at once the older sum would
        otherwise be written last now and then.

        Raises:
            StoreUnavailableError: It is away.
            BookError: The book does not answer.
        """
        if self._escrow is not None:
            await self._escrow.write_balances(store, [account])
            return
        async with self._applying:
            total = await self._book.run(lambda book: book.deposits.total(account))
            await store.set_deposits(account, Units(total // self._settings.asset.quantum))
            await settle(store, self._book, account, self._oldest())

    async def take_out(
        self, account: AccountId, planck: Planck, post: Callable[[], Awaitable[T]]
    ) -> T:
        """Return what `post` returns, which books that `planck` left; see `take_out`."""
        async with self.lend() as store, self._applying:
            return await take_out(store, self._book, account, planck, post, self.apply_later)

    async def sell_pass(self, account: AccountId, ask: Ask, pay: Pay, limits: Limits) -> Sale:
        """Sell a pass to an account; see `pass_sales.sell`."""
        async with self.lend() as store, self._applying:
            return await sell(
                store, self._book, account, ask, pay, limits, self.apply_later, self._oldest()
            )

    def _oldest(self) -> int:
        return self._clock.now_ms() // 1000 - self._settings.metering.watched_hours * 3600

    def stop(self) -> None:
        """Let `run` cut what is pending a last time, and end."""
        self._stop.set()
        self._woken.set()

    def _lose(self) -> None:
        """Lend the store to nobody, and let no HTTP process claim: another server has it."""
        self._is_ready = False
        _READY.set(0)
        self._woken.set()
        self._changed()

    async def run(self) -> None:
        """Recover, cut and settle until `stop`."""
        if self._escrow is not None:
            await self._escrow.begin()
            self._following = [asyncio.create_task(self._escrow.follower.run())]
        try:
            while not self._stop.is_set():
                await self._one_life()
        except StoreRefusedError as error:
            self.refusal = str(error)
            self.refused.set()
        finally:
            self._is_ready = False
            await end_tasks(self._following)
            if self._escrow is not None:
                await self._escrow.close()
            await self._settlement.close()
            if self._store is not None:
                await self._lock.give_back(self._store)
                await self._store.close()

    async def report(self) -> dict[str, Any]:
        """Return the comparison of store, book and ledger as JSON."""
        store = self._store if self._is_ready else None
        report = await reconcile(
            self._book,
            store,
            has_journal=self._settlement.is_local,
            reads=self._escrow.reads if self._escrow else None,
            operator=self._escrow.operator if self._escrow else NOBODY,
        )
        return as_json(report, is_store_read=store is not None)

    async def _one_life(self) -> None:
        """Serve one life of the store, from its recovery until it is found to be another one."""
        recovered = await self._recover()
        if recovered is None:
            return
        store, recovery = recovered

        # From here on the store is lent; HTTP processes get its epoch.
        self.run_id = store.run_id
        _RECOVERIES.inc(recovery.is_new)
        _RESTORES.inc(bool(recovery.floors))
        self._is_ready = True
        self.wait.over()
        _READY.set(1)
        self._changed()
        _log.info(
            "money.store.ready",
            run_id=store.run_id,
            epoch=recovery.epoch,
            rebuilt=recovery.is_new,
            pending_ticks=recovery.pending_ticks,
        )

        # For this life only: cuts, settler and, on a chain, balances: all are written again.
        cutter = self._cutter(store)
        adopted = self._escrow.write_adopted if self._escrow else None
        settler = self._settlement.settler(store, cutter, self.apply_later, adopted)
        tasks = [
            asyncio.create_task(cutter.run()),
            asyncio.create_task(settler.run()),
        ]
        if self._escrow is not None:
            self._escrow.all_again()
            await self._escrow.write_adopted()
            tasks.append(asyncio.create_task(self._escrow.keep(store)))

        # The last cut comes after the end of the tasks, which cut and settle too.
        try:
            await self._watch(store, recovery.epoch, cutter, tasks)
            if self._stop.is_set():
                await end_tasks(tasks)
                await self._cut_last(cutter)
        finally:
            # Nothing may hold the store when the next life rebuilds it.
            self._is_ready = False
            _READY.set(0)
            await end_tasks(tasks)
            await self._settlement.pause()
            async with self._given_back:
                await self._given_back.wait_for(lambda: self._lent == 0)

    async def _recover(self) -> tuple[Store, Recovery] | None:
        """Return the store, recovered, and what that did; None after a pause when it failed.

        Raises:
            StoreRefusedError: Redis is set up otherwise than it must be, or is another's, and this
                server never had it.
        """
        try:
            store = await self._connect()
            if await self._lock.take(store):
                # Its processes may still claim: all that they know of is void from here on.
                await store.void()
            if self._escrow is None:
                await settle_all(store, self._book)
            self.recovery = await recover(
                store,
                self._book,
                self._clock.now_ms(),
                recovery_policy(self._settings, has_joins=self._escrow is not None),
                newest_ticks=await self._newest_ticks(),
                overlay=self._escrow.overlay if self._escrow else None,
            )
            await self._look_back()
        except MeteringError as error:
            # Once it has served, a Redis set up otherwise, or taken, leaves the free streams alone.
            if self.recovery is None and isinstance(error, StoreRefusedError):
                raise
            self.wait.failed(error)
            await self._stopped_within(WATCH_S)
            return None
        self.wait.recovered()
        return store, self.recovery

    async def _connect(self) -> Store:
        if self._store is None:
            metering = self._settings.metering
            self._store = await Store.connect(
                self._redis_url,
                metering.fsync,
                watched_hours=metering.watched_hours,
                window_ms=self._settings.hls.window_ms,
            )
        else:
            await self._store.refresh()
        return self._store

    async def _watch(
        self, store: Store, epoch: str, cutter: Cutter, tasks: Sequence[asyncio.Task[None]]
    ) -> None:
        """Return when the store is away or not the one that was recovered, or at a stop.

        Raises:
            Exception: What ended one of the tasks, which only a bug can: control must not go on
                when nothing cuts or settles.
        """
        while not await self._stopped_within(WATCH_QUIET_S if store.is_quiet else WATCH_S):
            for task in (*tasks, *self._following):
                if task.done():
                    task.result()
            if not self._lock.is_held:
                self.wait.tell("another server has the lock on it")
                return
            try:
                if await store.epoch() != epoch:
                    _log.warning("money.store.changed", epoch=epoch)
                    self.wait.tell("it is another one, or was emptied, and is being recovered")
                    return
                await self._apply(store)
                if cutter.counters is not None:
                    for name, ticks in dataclasses.asdict(cutter.counters).items():
                        _UNBILLED.labels(name.removesuffix("_ticks")).set(ticks)
                self._settlement.measure()
                if self._escrow is not None:
                    self._escrow.measure()
            except StoreUnavailableError as error:
                _log.warning("money.store.lost", reason=str(error))
                self.wait.tell(str(error))
                return
            except BookError as error:
                # They wait; the writer of the book logs what is wrong with it.
                _log.debug("money.deposits.waiting", reason=str(error))

    async def _stopped_within(self, timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._woken.wait()
        if not self._stop.is_set():
            self._woken.clear()
        return self._stop.is_set()

    async def _apply(self, store: Store) -> None:
        """Write the deposits that were booked while the store was away."""
        for account in list(islice(self._apply_later, APPLIED_PER_LOOK)):
            await self.apply_deposits(store, account)
            self._apply_later.pop(account, None)

    async def _look_back(self) -> None:
        """Remember every depositor once: the control before us may have died between its rows."""
        if not self._has_looked_back:
            accounts = await self._book.run(lambda book: book.deposits.accounts())
            self._apply_later |= dict.fromkeys(accounts)
            self._has_looked_back = True

    async def _cut_last(self, cutter: Cutter) -> None:
        try:
            async with asyncio.timeout(LAST_CUT_TIMEOUT_S):
                done = await cutter.round()
        except (MeteringError, TimeoutError) as error:
            _log.warning("money.last_cut.failed", reason=str(error))
        else:
            _log.info("money.last_cut.done", ticks=done.ticks)

    def _cutter(self, store: Store) -> Cutter:
        return Cutter(
            store,
            self._book,
            self._clock.now_ms,
            self._settings.metering.cut_period_s,
            self._settings.metering.minutes_kept_days,
        )
