"""Control's side of escrows: follows the chain, and writes balances and joins to the store.

The follower's book and overlay change together under `EventFollower.steady`; a writer of
balances reads both under it, so a deposit that turns from provisional to final is counted once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Final
from uuid import UUID

from prometheus_client import Gauge

from mediaserver import log
from mediaserver.accounting.remote_chain import RemoteEvents
from mediaserver.accounting.remote_escrow import RemoteCallService
from mediaserver.accounting.settlement_service import SUBSTRATE
from mediaserver.ipc.client import CallClient
from mediaserver.settings.records import Settings
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.records import Funds, ViewerStatus
from metering.errors import BookError, MeteringError, StoreUnavailableError
from metering.escrow.call_sender import CallSender
from metering.escrow.custodial_wallets import CustodialWallets
from metering.escrow.event_follower import Changed, EventFollower
from metering.model.escrow_events import JoinKey, concerns, joins_after, newest
from metering.model.escrow_overlay import Overlay
from metering.model.join_caps import Join, caps_of, is_open
from metering.recovery.derive import frozen_units, whole_units
from metering.signing import KeyPair
from metering.store.client import Store
from metering.units import AccountId, Planck, SessionId

WRITTEN_AT_ONCE: Final = 200
"""Balances read in one go: they hold up the follower for some tens of milliseconds."""
RETRY_S: Final = 0.5
LEFT: Final = "left"
"""Why a session ended whose viewer left the stream on the chain, or joined it again."""

_TAKEN: Final = Gauge("metering_escrow_taken_block", "Newest finalized block in the book")
_ABOVE: Final = Gauge("metering_escrow_unfinalized_blocks", "Blocks above the finalized one")
_PROVISIONAL: Final = Gauge("metering_escrow_provisional_planck", "Credited before it is final")
_FROZEN: Final = Gauge("metering_escrow_frozen_planck", "Asked back in blocks that are not final")

_log = log.get("escrow")


def open_escrow(
    settings: Settings,
    book: AsyncBook,
    remote: CallClient,
    *,
    operator: KeyPair,
    now_ms: Callable[[], int],
) -> Escrow | None:
    """Return what keeps escrows, None when batches go to the journal.

    Args:
        operator: Pays the fees of viewers whose key the server holds.
    """
    if settings.chain.backend != SUBSTRATE:
        return None
    wallets = CustodialWallets(
        CallSender(RemoteCallService(remote)),
        book,
        operator=operator,
        float_planck=int(settings.chain.viewer_float_planck),
        now_ms=now_ms,
    )
    return Escrow(
        settings,
        book,
        RemoteEvents(remote),
        operator=operator.account,
        now_ms=now_ms,
        wallets=wallets,
    )


class Escrow:
    """Keeps the store in step with the chain."""

    def __init__(
        self,
        settings: Settings,
        book: AsyncBook,
        chain: RemoteEvents,
        *,
        operator: AccountId,
        now_ms: Callable[[], int],
        wallets: CustodialWallets,
    ) -> None:
        self.reads = chain
        self.operator = operator
        self._wallets = wallets
        self._book = book
        self._now_ms = now_ms
        self._quantum = settings.asset.quantum
        self.follower = EventFollower(
            chain,
            book,
            operator=operator,
            cap=Planck(int(settings.chain.provisional_cap_planck)),
            from_block=settings.chain.escrow_from_block,
            now_ms=now_ms,
            notify=self._notify,
        )
        # Dicts for their order: first put, first written.
        self._accounts: dict[AccountId, None] = {}
        self._keys: dict[JoinKey, None] = {}
        self._gone: dict[tuple[UUID, AccountId, int], Join] = {}
        self._work = asyncio.Event()
        self._moved = asyncio.Condition()
        self._moves = 0
        self._joining: dict[JoinKey, asyncio.Task[None]] = {}

    @property
    def overlay(self) -> Overlay | None:
        """Return the state of the blocks above the finalized one."""
        return self.follower.overlay

    async def begin(self) -> None:
        """Learn what the book knows of the runtime: recovery needs it, the node may be away."""
        await self.follower.refresh()

    def all_again(self) -> None:
        """Write everything of the overlay to the store again: it was rebuilt meanwhile."""
        overlay = self.follower.overlay
        if overlay is not None:
            self._accounts |= dict.fromkeys(overlay.accounts)
            self._keys |= {
                (event.stream, event.account): None
                for event in overlay.joins
                if event.account is not None
            }
        self._work.set()

    async def write_adopted(self) -> None:
        """Write the balances that paid for ticks of a book that was lost.

        Raises:
            BookError: The book does not answer.
        """
        self._accounts |= dict.fromkeys(await self._book.run(lambda book: book.adoption.accounts()))
        self._work.set()

    async def keep(self, store: Store) -> None:
        """Write what changes to a store until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self.apply(store)
            except (StoreUnavailableError, BookError) as error:
                _log.debug("escrow.purses.waiting", reason=str(error))
                self._work.set()
                await asyncio.sleep(RETRY_S)

    async def apply(self, store: Store) -> None:
        """Write all that has changed to a store; what fails is written again.

        Raises:
            StoreUnavailableError: It is away.
            BookError: The book does not answer.
        """
        while self._accounts or self._keys or self._gone:
            some = list(islice(self._accounts, WRITTEN_AT_ONCE))
            await self.write_balances(store, some)
            for account in some:
                self._accounts.pop(account, None)
            gone = list(self._gone)
            await self._write_gone(store, list(self._gone.values()))
            for name in gone:
                self._gone.pop(name, None)
            for key in list(islice(self._keys, WRITTEN_AT_ONCE)):
                await self.write_joins(store, key)
                self._keys.pop(key, None)

    async def write_balances(self, store: Store, accounts: Iterable[AccountId]) -> None:
        """Write to a store what the chain adds to and takes from some balances, now.

        Raises:
            StoreUnavailableError: It is away.
            BookError: The book does not answer.
        """
        wanted = list(accounts)
        async with self.follower.steady:
            cursor, funds = await self._book.run(lambda book: book.escrow.funds(wanted))
            overlay = self.follower.overlay
            is_of_book = cursor is not None and overlay and overlay.base.number == cursor.number
            for account, had in funds.items():
                provisional, frozen = Planck(0), had.frozen
                if overlay is not None:
                    frozen = overlay.frozen.get(account, had.frozen)
                    if is_of_book:
                        provisional = overlay.provisional.get(account, Planck(0))
                await store.set_balance(
                    account,
                    whole_units(had.net, self._quantum),
                    whole_units(provisional, self._quantum),
                    frozen_units(frozen, self._quantum),
                )

    async def write_joins(self, store: Store, key: JoinKey) -> None:
        """Write the caps of a viewer's joins of a stream to a store; end sessions of ended ones.

        Raises:
            StoreUnavailableError: It is away.
            BookError: The book does not answer.
        """
        limits = self.follower.limits
        if limits is None:
            return
        stream, account = key
        joins = await self._joins(key)
        overlay = self.follower.overlay
        skew_s = overlay.skew_s if overlay else 0
        chain_s = self._now_ms() // 1000 - skew_s
        shown = [known for known in joins.values() if known.till_s > chain_s - limits.notice_s]
        await store.set_joins([caps_of(join, limits, self._quantum, skew_s) for join in shown])
        for join in shown:
            if not is_open(join, chain_s):
                await self._end_sessions(store, stream, account, join.number)

    async def viewer_status(self, account: AccountId, stream: UUID) -> ViewerStatus:
        """Return the status of a viewer with a stream.

        Raises:
            BookError: The book does not answer.
        """
        _, funds = await self._book.run(lambda book: book.escrow.funds([account]))
        none = Planck(0)
        joins = await self._joins((stream, account))
        overlay, join = self.follower.overlay, newest(joins)
        skew_s = overlay.skew_s if overlay else 0
        return ViewerStatus(
            funds.get(account, Funds(none, none, none)),
            overlay.provisional.get(account, none) if overlay else none,
            join,
            join is not None and is_open(join, self._now_ms() // 1000 - skew_s),
            skew_s,
        )

    async def holds(self, account: AccountId) -> bool:
        """Return whether we hold a viewer's key."""
        return await self._wallets.holds(account)

    async def deposit(self, account: AccountId, planck: Planck, key: str) -> bool:
        """Put planck in the escrow of a viewer whose key we hold, once."""
        return await self._wallets.deposit(account, planck, key)

    def join(
        self, account: AccountId, stream: UUID, price: Planck, max_spend: int
    ) -> asyncio.Task[None]:
        """Begin to join a stream for a viewer whose key we hold; see `CustodialWallets.join`.

        The task ends when the join is final. The viewer need not wait for that: `viewer_status` has
        it as soon as it is in a block. Asked again meanwhile, the same task is returned: a second
        join would end the first.
        """
        key = stream, account
        task = self._joining.get(key)
        if task is None:
            work = self._wallets.join(account, stream, price, max_spend)
            task = self._joining[key] = asyncio.create_task(self._join(key, work))
            # Its error is logged: no caller may be left to await it.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def close(self) -> None:
        """Give up what is under way: calls that are written are made after the next start."""
        tasks = list(self._joining.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def moves(self) -> int:
        """Return how often anything that `viewer_status` says may have changed."""
        return self._moves

    async def wait_moved(self, moves: int, timeout_s: float) -> bool:
        """Wait until `moves` is not what it was; False when it still is after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(lambda: self._moves != moves)
        except TimeoutError:
            return False
        return True

    def measure(self) -> None:
        """Set the metrics."""
        overlay, heads = self.follower.overlay, self.follower.heads
        if overlay is not None:
            _TAKEN.set(overlay.base.number)
            _PROVISIONAL.set(sum(overlay.provisional.values()))
            _FROZEN.set(sum(overlay.frozen.values()))
        if heads is not None:
            _ABOVE.set(heads.best.number - heads.finalized.number)

    async def _notify(self, changed: Changed) -> None:
        self._accounts |= dict.fromkeys(changed.accounts)
        self._keys |= dict.fromkeys(changed.joins)
        self._gone |= {(join.stream, join.account, join.number): join for join in changed.gone}
        self._work.set()
        await self._move()

    async def _move(self) -> None:
        async with self._moved:
            self._moves += 1
            self._moved.notify_all()

    async def _join(self, key: JoinKey, work: Awaitable[None]) -> None:
        try:
            await work
        except MeteringError as error:
            # The caller gets it too, unless they went on with a join that was not final then.
            _log.warning("escrow.join.failed", stream_id=key[0].hex, error=str(error))
            raise
        finally:
            del self._joining[key]
            await self._move()

    async def _write_gone(self, store: Store, joins: Sequence[Join]) -> None:
        limits = self.follower.limits
        if limits is None or not joins:
            return
        await store.set_joins([caps_of(join, limits, self._quantum) for join in joins])
        for join in joins:
            self._keys[join.stream, join.account] = None

    async def _joins(self, key: JoinKey) -> dict[int, Join]:
        stream, account = key
        async with self.follower.steady:
            known = await self._book.run(lambda book: book.joins.of_viewer(account, stream))
            overlay = self.follower.overlay
            events = overlay.joins if overlay else ()
            return joins_after(known, (event for event in events if concerns(event, key)))

    async def _end_sessions(
        self, store: Store, stream: UUID, account: AccountId, join: int
    ) -> None:
        now_ms = self._now_ms()
        live = await self._book.run(
            lambda book: book.sessions.of_join(account, stream, join, now_ms)
        )
        for session in live:
            await store.end_session(account, session, LEFT)
            await self._book.run(_end(session, now_ms))


def _end(session: SessionId, now_ms: int) -> Callable[[Book], None]:
    return lambda book: book.sessions.end(session, LEFT, now_ms)
