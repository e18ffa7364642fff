"""A chain in memory that can be told to be away, to drop, to expire and to refuse."""

from __future__ import annotations

import struct

from metering.chain.entries import batch_hash, decode
from metering.errors import (
    ChainUnavailableError,
    ExtrinsicExpiredError,
    ExtrinsicRejectedError,
)
from metering.ports import BatchOutcome
from metering.units import EntryKey


class MemoryChain:
    """Keeps the `Chain` contract; `paid` is what a chain would have moved, in ticks."""

    def __init__(self) -> None:
        self.blocks: list[tuple[int, bytes]] = []
        self.finalized = 0
        self.pool: list[bytes] = []
        self.dead: set[bytes] = set()
        self.refuse: set[EntryKey] = set()
        self.refused: dict[int, tuple[tuple[int, str], ...]] = {}
        self.settled: dict[EntryKey, int] = {}
        self.paid: dict[EntryKey, int] = {}
        self.signed = 0
        self.is_away = False
        self.rejects = ""

    async def sign(self, seq: int, batch_hash: bytes, entries: bytes) -> bytes:
        self._answer()
        self.signed += 1
        return struct.pack("<QQ", seq, self.signed) + batch_hash + entries

    async def submit(self, signed: bytes) -> None:
        self._answer()
        if self.rejects:
            raise ExtrinsicRejectedError(self.rejects)
        if signed not in self.pool and signed not in self.dead:
            self.pool.append(signed)

    async def outcome(self, seq: int) -> BatchOutcome | None:
        self._answer()
        for number, signed in self.blocks[: self.finalized]:
            if struct.unpack_from("<Q", signed)[0] == seq:
                return BatchOutcome(seq, signed[16:48], self.refused.get(seq, ()), number)
        if any(struct.unpack_from("<Q", dead)[0] == seq for dead in self.dead) and not any(
            struct.unpack_from("<Q", alive)[0] == seq for alive in self.pool
        ):
            raise ExtrinsicExpiredError(f"batch {seq} is past its death block")
        return None

    async def last_settled(self) -> int:
        self._answer()
        return max([struct.unpack_from("<Q", b)[0] for _, b in self.blocks[: self.finalized]] + [0])

    def make_blocks(self) -> None:
        """Include the whole pool, in order, and finalize it."""
        for signed in self.pool:
            seq = struct.unpack_from("<Q", signed)[0]
            if seq != len(self.blocks) + 1:
                continue  # at or below the last: a no-op; above the next: a gap
            entries = signed[48:]
            assert batch_hash(entries) == signed[16:48]
            refused = []
            for position, entry in enumerate(decode(entries)):
                before = self.settled.get(entry.key, 0)
                if entry.key in self.refuse:
                    refused.append((position, "purse"))
                elif entry.cumulative > before:
                    self.paid[entry.key] = self.paid.get(entry.key, 0) + entry.cumulative - before
                    self.settled[entry.key] = entry.cumulative
            self.refused[seq] = tuple(refused)
            self.blocks.append((len(self.blocks) + 1, signed))
        self.pool.clear()
        self.finalized = len(self.blocks)

    def expire_pool(self) -> None:
        """Let everything in the pool die unseen."""
        self.dead.update(self.pool)
        self.pool.clear()

    def _answer(self) -> None:
        if self.is_away:
            raise ChainUnavailableError("the node does not answer")
