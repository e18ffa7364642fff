"""Reads finalized blocks into the book in order, and the blocks above them into memory.

Each turn asks for both heads. Finalized blocks that the book has not are taken in batches, each in
one transaction with the cursor. Then the blocks between the finalized and the best one are read,
each once, and the overlay is worked out anew: provisional credit, what is frozen, provisional
joins. The owner of the balances is notified of what changed.

Source: docs/metering.md, "Deposits from the chain".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import UUID

import structlog

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.records import Cursor, Taken
from metering.errors import (
    BlockPrunedError,
    ChainUnavailableError,
    InvalidValueError,
    MeteringError,
    OtherChainError,
    RuntimeUnsupportedError,
)
from metering.log_throttle import LogThrottle
from metering.model.escrow_events import BlockRef, EventBlock, JoinKey, escrow_events
from metering.model.escrow_overlay import Overlay, overlay
from metering.model.join_caps import Join, JoinLimits, skew
from metering.units import AccountId, Planck

BLOCKS_PER_TURN: Final = 64
"""Finalized blocks in one transaction: some tens of milliseconds of the book."""
UNFINALIZED_MAX: Final = 4096
"""Blocks above the finalized one that are kept, some hundred bytes each: seven hours without
finality. Above it nothing is credited before it is final."""
PERIOD_S: Final = 1.0
LIMITS_EVERY: Final = 60
"""Turns between two looks at the runtime's constants: an upgrade may change them."""

_STOPPED: Final = (
    OtherChainError,
    BlockPrunedError,
    RuntimeUnsupportedError,
    InvalidValueError,
)
"""Failures that do not pass by themselves: a person must look."""

_log = structlog.get_logger(room="metering")


@dataclass(frozen=True, slots=True)
class Heads:
    """Where the chain is: its newest finalized block, and the best one."""

    finalized: BlockRef
    best: BlockRef


@dataclass(frozen=True, slots=True)
class Changed:
    """Whose balances and joins changed.

    Attributes:
        accounts: Balances to write again.
        joins: Joins to write again, by stream and viewer.
        gone: Joins of blocks that were left, which no branch has any more.
    """

    accounts: frozenset[AccountId]
    joins: frozenset[JoinKey]
    gone: tuple[Join, ...] = ()


class ChainEvents(Protocol):
    """What the follower asks of the process that speaks to the node.

    Contract: `heads` may go back, and the best block need not descend from the one before; the
    finalized one never goes back on one chain. `block` returns the same for the same hash.
    Every question is bounded in time.
    """

    async def heads(self) -> Heads:
        """Return both heads.

        Raises:
            ChainUnavailableError: Ask again.
        """

    async def hash_of(self, number: int) -> bytes:
        """Return the hash of the block at a height of the best branch.

        Raises:
            ChainUnavailableError: Ask again; there may be no such block yet.
        """

    async def block(self, block_hash: bytes) -> EventBlock:
        """Return a block with the pallet's events, decoded.

        Raises:
            ChainUnavailableError: Ask again.
            BlockPrunedError: The node does not keep it any more.
        """

    async def limits(self) -> JoinLimits:
        """Return the bounds of every join in the runtime in force.

        Raises:
            ChainUnavailableError: Ask again.
            RuntimeUnsupportedError: It has no such constants.
        """


class EventFollower:
    """Follows one chain for one book.

    Args:
        cap: Most provisional credit of all viewers together.
        from_block: First block to take, when the book follows no chain yet.
        notify: Called after each turn that changed something.

    Attributes:
        overlay: The state of the blocks above the finalized one; None before they were read, and
            while the book is still taking finalized ones.
        limits: What bounds every join; None before it was known.
        heads: As of the last turn; None before the first.
        steady: Held while book and overlay change together. A caller that needs both holds it too.
    """

    def __init__(
        self,
        chain: ChainEvents,
        book: AsyncBook,
        *,
        operator: AccountId,
        cap: Planck,
        from_block: int,
        now_ms: Callable[[], int],
        notify: Callable[[Changed], Awaitable[None]],
    ) -> None:
        self.overlay: Overlay | None = None
        self.limits: JoinLimits | None = None
        self.heads: Heads | None = None
        self.steady = asyncio.Lock()
        self._chain = chain
        self._book = book
        self._operator = operator
        self._cap = cap
        self._from_block = from_block
        self._now_ms = now_ms
        self._notify = notify
        self._blocks: dict[bytes, EventBlock] = {}
        self._skew_s = 0
        self._turns = 0
        self._stall = LogThrottle()

    async def run(self) -> None:
        """Make turns until cancelled. A failure is logged and the turn repeated later."""
        throttle = LogThrottle()
        while True:
            is_behind = False
            try:
                is_behind = await self.turn()
                throttle.succeeded()
            except MeteringError as error:
                count = throttle.failed(str(error))
                if count and (isinstance(error, _STOPPED) or count > 1):
                    _log.error("metering.escrow.stopped", error=str(error), times=count)
                elif count:
                    _log.warning("metering.escrow.waiting", error=str(error))
            if not is_behind:
                await asyncio.sleep(PERIOD_S)

    async def turn(self) -> bool:
        """Take finalized blocks, at most `BLOCKS_PER_TURN`, and look at what is above them.

        Returns:
            True when there are more to take at once.

        Raises:
            ChainUnavailableError: The node is away, or behind the book. Nothing has changed.
            BlockPrunedError: It does not keep a block that the book needs.
            OtherChainError: It follows another chain than the book.
            InvalidValueError: An event is not of the pallet of this release.
            BookError: The book does not answer.
        """
        await self._learn_limits()
        heads = self.heads = await self._chain.heads()
        cursor = await self._cursor(heads.finalized)
        if heads.finalized.number < cursor.number:
            raise ChainUnavailableError(
                f"the node's finalized block is {heads.finalized.number}, and the book has taken "
                f"block {cursor.number}: it is behind, or its chain was begun anew"
            )
        fresh = await self._finalized_after(cursor, heads.finalized)
        is_behind = cursor.number + len(fresh) < heads.finalized.number
        if not is_behind:
            await self._learn_branch(heads)
        async with self.steady:
            before = self.overlay
            taken = await self._take(fresh) if fresh else Taken(cursor, frozenset(), frozenset())
            self._forget(taken.cursor.number)
            # Should the book not answer now, an overlay of another base would be held.
            self.overlay = None
            if not is_behind:
                self.overlay = await self._look_above(heads)
        changed = await self._changed(before, taken)
        if changed.accounts or changed.joins or changed.gone:
            await self._notify(changed)
        return is_behind

    async def refresh(self) -> None:
        """Remember what the book last knew of the runtime, for a start without the node."""
        if self.limits is None:
            self.limits = await self._book.run(lambda book: book.joins.limits())

    # Finalized blocks

    async def _cursor(self, finalized: BlockRef) -> Cursor:
        cursor = await self._book.run(lambda book: book.escrow.cursor())
        if cursor is not None:
            return cursor
        number = self._from_block - 1
        if finalized.number < number:
            raise ChainUnavailableError(
                f"chain.escrow_from_block is {self._from_block}, and the node's finalized block is "
                f"{finalized.number}"
            )
        genesis = await self._chain.hash_of(0)
        at = await self._chain.hash_of(number) if number else genesis
        cursor = Cursor(genesis, number, at, 0)
        await self._book.run(lambda book: book.escrow.begin(cursor))
        _log.info("metering.escrow.begun", block=number, hash=at.hex())
        return cursor

    async def _finalized_after(self, cursor: Cursor, finalized: BlockRef) -> list[EventBlock]:
        """Return the next finalized blocks that the book has not, in order."""
        last = min(finalized.number, cursor.number + BLOCKS_PER_TURN)
        blocks: list[EventBlock] = []
        if last == finalized.number:
            at = finalized.hash
            for _ in range(last - cursor.number):
                blocks.append(await self._block(at))
                at = blocks[-1].parent
            return blocks[::-1]
        return [
            await self._block(await self._chain.hash_of(number))
            for number in range(cursor.number + 1, last + 1)
        ]

    async def _take(self, blocks: list[EventBlock]) -> Taken:
        now_ms = self._now_ms()
        taken = await self._book.run(
            lambda book: book.escrow.take_blocks(blocks, self._operator, now_ms)
        )
        if taken.accounts or taken.joins:
            _log.info(
                "metering.escrow.taken",
                block=taken.cursor.number,
                accounts=len(taken.accounts),
                joins=len(taken.joins),
            )
        return taken

    # What is above them

    async def _learn_branch(self, heads: Heads) -> None:
        """Read the blocks from the best one down to the finalized one, each once."""
        if heads.best.number - heads.finalized.number > UNFINALIZED_MAX:
            return
        at = heads.best.hash
        while at != heads.finalized.hash:
            block = await self._block(at)
            if block.number <= heads.finalized.number:
                raise ChainUnavailableError(
                    f"block {heads.best.number} does not descend from the finalized block "
                    f"{heads.finalized.number}: the node was between two heads"
                )
            at = block.parent

    async def _look_above(self, heads: Heads) -> Overlay:
        above = heads.best.number - heads.finalized.number
        seen = list(self._blocks.values())
        accounts = {
            event.account for block in seen for event in escrow_events(block, self._operator)
        }
        frozen = await self._book.run(lambda book: book.escrow.frozen(accounts))
        best = heads.best
        if above > UNFINALIZED_MAX:
            if count := self._stall.failed("stalled"):
                _log.error("metering.escrow.stalled", blocks=above, times=count)
            best = heads.finalized
        else:
            self._stall.succeeded()
            self._set_skew(heads)
        fresh = overlay(
            heads.finalized,
            seen,
            best,
            operator=self._operator,
            frozen=frozen,
            cap=self._cap,
            skew_s=self._skew_s,
        )
        return replace(fresh, head=heads.best)

    def _set_skew(self, heads: Heads) -> None:
        best = self._blocks.get(heads.best.hash)
        if best is not None and best.at_s:
            self._skew_s = skew(self._skew_s, self._now_ms() // 1000, best.at_s)

    async def _block(self, block_hash: bytes) -> EventBlock:
        known = self._blocks.get(block_hash)
        if known is None:
            known = self._blocks[block_hash] = await self._chain.block(block_hash)
        return known

    def _forget(self, number: int) -> None:
        """Drop what is final, or can never be."""
        self._blocks = {key: block for key, block in self._blocks.items() if block.number > number}

    # What has changed

    async def _learn_limits(self) -> None:
        self._turns += 1
        if self.limits is not None and self._turns % LIMITS_EVERY != 1:
            return
        limits = await self._chain.limits()
        if limits != self.limits:
            await self._book.run(lambda book: book.joins.put_limits(limits))
            self.limits = limits

    async def _changed(self, before: Overlay | None, taken: Taken) -> Changed:
        after = self.overlay
        accounts = set(taken.accounts)
        for name in ("provisional", "frozen"):
            old = getattr(before, name) if before else {}
            new = getattr(after, name) if after else {}
            accounts |= {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        old_events = set(before.joins) if before else set()
        new_events = set(after.joins) if after else set()
        differing = old_events ^ new_events
        keys: set[JoinKey] = set(taken.joins)
        keys |= {(event.stream, event.account) for event in differing if event.account is not None}
        is_all = (before.skew_s if before else 0) != (after.skew_s if after else 0)
        closed = {event.stream for event in differing if event.account is None}
        if is_all or closed:
            keys |= {
                (join.stream, join.account)
                for join in await self._book.run(lambda book: book.joins.unended())
                if is_all or join.stream in closed
            }
        opened = _opened(event.opened for event in old_events)
        opened -= _opened(event.opened for event in new_events)
        gone = []
        for stream, account, number in sorted(opened, key=lambda join: (join[0].int, join[1:])):
            known = await self._book.run(_joins_of(account, stream))
            if number not in known:
                gone.append(Join(stream, account, number, 0, 0, 0, 0, ended_s=0))
        return Changed(frozenset(accounts), frozenset(keys), tuple(gone))


def _joins_of(account: AccountId, stream: UUID) -> Callable[[Book], dict[int, Join]]:
    return lambda book: book.joins.of_viewer(account, stream)


def _opened(joins: Iterable[Join | None]) -> set[tuple[UUID, AccountId, int]]:
    return {(join.stream, join.account, join.number) for join in joins if join is not None}
