"""Reads finalized blocks into the book, one after the other, and what lies above them into memory.

Each turn asks for both heads. Finalized blocks that the book has not are taken in batches, each in
one transaction with the cursor. Then the blocks between the finalized and the best one are read,
each once, and the overlay is worked out anew: provisional credit, what is frozen, provisional
joins. What has changed is told to whoever keeps the purses (`Told`).

Source: docs/metering.md, "Deposits from the chain".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from metering.book.book import Book
from metering.book.records import Cursor, Taken
from metering.book.thread import OffLoop
from metering.caps import JoinLimits, skew
from metering.chain.escrow import (
    BlockRef,
    EventBlock,
    JoinEvent,
    JoinKey,
    Overlay,
    escrow_events,
    overlay,
)
from metering.errors import (
    BlockPrunedError,
    BookError,
    ChainError,
    ChainUnavailableError,
    MeteringError,
    OtherChainError,
)
from metering.trouble import Trouble
from metering.units import AccountId, Planck

BLOCKS_PER_TURN: Final = 64
"""Finalized blocks in one transaction: some tens of milliseconds of the book."""
UNFINALIZED_MAX: Final = 4096
"""Blocks above the finalized one that are kept, some kilobytes each: seven hours without finality.
Above it there is no provisional credit."""
PERIOD_S: Final = 1.0

_log = structlog.get_logger(room="metering")


@dataclass(frozen=True, slots=True)
class Heads:
    """Where the chain is: its newest finalized block, and the best one."""

    finalized: BlockRef
    best: BlockRef


class ChainEvents(Protocol):
    """What the follower asks of the process that speaks to the node.

    Contract: `heads` may go back, and the best block need not stand on the one of a moment ago; the
    finalized one never goes back on one chain. `block` says the same of the same hash each time.
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
        """Return what the runtime in force says that bounds every join.

        Raises:
            ChainUnavailableError: Ask again.
            RuntimeUnsupportedError: It has no such constants.
        """
