"""A chain in memory that can be told to be away, to drop, to expire and to refuse."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from metering.errors import (
    BatchTooLargeError,
    ChainUnavailableError,
    ExtrinsicRejectedError,
)
from metering.model.entries import batch_hash, decode
from metering.ports import (
    BatchOutcome,
    BatchStatus,
    ChainLimits,
    ChainSettled,
    ChainSnapshot,
    Finding,
    InFlight,
)
from metering.units import EntryKey


class MemoryChain:
    """Keeps the `Chain` contract; `paid` is what a chain would have moved, in ticks."""

    def __init__(self, in_flight_max: int = 1) -> None:
        self.in_flight_max = in_flight_max
        self.entries_max: int | None = None
        self.blocks: list[tuple[int, bytes]] = []
        self.finalized = 0
        self.pool: list[bytes] = []
        self.dead: set[bytes] = set()
        self.refuse: set[EntryKey] = set()
        self.refused: dict[int, tuple[tuple[int, str], ...]] = {}
        self.settled_ticks: dict[EntryKey, int] = {}
        self.keeps_entries = False
        self.paid: dict[EntryKey, int] = {}
        self.signed = 0
        self.is_away = False
        self.rejects = ""

    async def limits(self) -> ChainLimits:
        self._answer()
        return ChainLimits(self.entries_max, self.in_flight_max)

    async def sign(
        self, seq: int, batch_hash: bytes, entries: bytes, alive: Sequence[bytes] = ()
    ) -> bytes:
        self._answer()
        count = len(decode(entries))
        if self.entries_max is not None and count > self.entries_max:
            raise BatchTooLargeError(f"{count} entries are too many", self.entries_max)
        assert all(struct.unpack_from("<Q", one)[0] != seq for one in alive)
        self.signed += 1
        return struct.pack("<QQ", seq, self.signed) + batch_hash + entries

    async def submit(self, signed: bytes) -> None:
        self._answer()
        if self.rejects:
            raise ExtrinsicRejectedError(self.rejects)
        if signed not in self.pool and signed not in self.dead:
            self.pool.append(signed)

    async def look(self, flights: Sequence[InFlight]) -> ChainSnapshot:
        self._answer()
        last = await self.last_settled()
        return ChainSnapshot(
            self.finalized, self.finalized, last, tuple(self._find(flight) for flight in flights)
        )

    def _find(self, flight: InFlight) -> Finding:
        seq = flight.seq
        for number, signed in self.blocks[: self.finalized]:
            if struct.unpack_from("<Q", signed)[0] == seq:
                outcome = BatchOutcome(seq, signed[16:48], self.refused.get(seq, ()), number)
                if outcome.hash != flight.hash:
                    return Finding(seq, BatchStatus.OTHER_CONTENT, outcome, "other content")
                return Finding(seq, BatchStatus.FINAL, outcome)
        if flight.signed in self.dead:
            return Finding(seq, BatchStatus.EXPIRED, None, f"batch {seq} is past its death block")
        return Finding(seq, BatchStatus.WAITING)

    async def last_settled(self) -> int:
        self._answer()
        blocks = self.blocks[: self.finalized]
        return max((int(struct.unpack_from("<Q", signed)[0]) for _, signed in blocks), default=0)

    async def settled(
        self, keys: Sequence[EntryKey], at: bytes | None = None
    ) -> ChainSettled | None:
        assert at in (None, b"at")
        self._answer()
        if not self.keeps_entries:
            return None
        found = {key: self.settled_ticks[key] for key in keys if key in self.settled_ticks}
        return ChainSettled(b"at", await self.last_settled(), found)

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
                before = self.settled_ticks.get(entry.key, 0)
                if entry.key in self.refuse:
                    refused.append((position, "purse"))
                elif entry.cumulative > before:
                    self.paid[entry.key] = self.paid.get(entry.key, 0) + entry.cumulative - before
                    self.settled_ticks[entry.key] = entry.cumulative
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
