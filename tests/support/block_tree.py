"""Builds blocks of events, with forks and a finality of their own: values for the pure model.

No chain is asked here: the follower's tests run on the fake node. What is tested with these values
is what follows from *any* events in any tree, also from those that the pallet would not deposit:
2**90 planck, a join of an unknown viewer, a withdrawal without a request.

Events wait in a pool until a block takes them; a fork gives those of the blocks it leaves back, so
the same deposit may come again in another block, at another place.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from metering.model.escrow_events import EventBlock, PalletEvent
from metering.units import AccountId

OPERATOR = AccountId(b"\x0b" * 32)
STREAM = UUID(int=7)
START_S = 1_700_000_000


def deposited(viewer: AccountId, amount: int, operator: AccountId = OPERATOR) -> PalletEvent:
    fields = {"viewer": viewer, "operator": operator, "amount": amount, "held": amount}
    return PalletEvent(0, "EscrowDeposited", fields)


def requested(viewer: AccountId, amount: int, operator: AccountId = OPERATOR) -> PalletEvent:
    fields = {"viewer": viewer, "operator": operator, "amount": amount, "ready_at": START_S + 3600}
    return PalletEvent(0, "WithdrawRequested", fields)


def withdrawn(viewer: AccountId, amount: int, operator: AccountId = OPERATOR) -> PalletEvent:
    fields = {"viewer": viewer, "operator": operator, "amount": amount, "held": 0}
    return PalletEvent(0, "EscrowWithdrawn", fields)


def opened(viewer: AccountId, join: int, stream: UUID = STREAM, **changes: Any) -> PalletEvent:
    fields = {
        "stream_id": stream.int,
        "viewer": viewer,
        "join": join,
        "max_spend": 10**12,
        "max_price": 10**9,
        "expires_at": START_S + 86_400,
    }
    return PalletEvent(0, "SessionOpened", fields | changes)


def ended(viewer: AccountId, join: int, stream: UUID = STREAM) -> PalletEvent:
    return PalletEvent(0, "SessionEnded", {"stream_id": stream.int, "viewer": viewer, "join": join})


def closed(stream: UUID = STREAM) -> PalletEvent:
    return PalletEvent(0, "StreamClosed", {"stream_id": stream.int})


@dataclass
class Blocks:
    """A tree of blocks, its best and its finalized head."""

    genesis: bytes = b"\x45" * 32
    pool: list[PalletEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.by_hash = {self.genesis: EventBlock(0, self.genesis, bytes(32), START_S)}
        self.best = self.finalized = self.genesis
        self._made = 0

    def path(self, at: bytes) -> list[EventBlock]:
        """Return the blocks from the one after genesis to `at`."""
        found = []
        while at != self.genesis:
            found.append(self.by_hash[at])
            at = found[-1].parent
        return found[::-1]

    def extend(self, *events: PalletEvent, parent: bytes | None = None) -> EventBlock:
        """Make a block on `parent`, the best one by default; it becomes the best."""
        before = self.by_hash[self.best if parent is None else parent]
        self._made += 1
        number = before.number + 1
        salt = b"%d %d" % (self._made, number)
        placed = tuple(
            PalletEvent(3 * index + self._made % 3, event.name, event.fields)
            for index, event in enumerate(events)
        )
        block = EventBlock(
            number,
            hashlib.blake2b(before.hash + salt, digest_size=32).digest(),
            before.hash,
            START_S + 6 * number,
            placed,
        )
        self.by_hash[block.hash] = block
        self.best = block.hash
        return block

    def reorganise(self, depth: int, rng: random.Random, *, give_back: bool = True) -> None:
        """Leave the newest `depth` blocks, if they are not final, for a branch that is longer."""
        path = self.path(self.best)
        final = self.by_hash[self.finalized].number
        depth = min(depth, len(path) - final)
        left = path[len(path) - depth :]
        if give_back:
            self.pool += [event for block in left for event in block.events]
        at = left[0].parent if left else self.best
        for _ in range(depth + 1):
            at = self.extend(*self._take(rng), parent=at).hash

    def finalise(self, number: int) -> None:
        """Let finality reach `number`, or the best block."""
        for block in self.path(self.best):
            if block.number <= number:
                self.finalized = block.hash

    def mine(self, rng: random.Random) -> EventBlock:
        """Make a block of some of the pool."""
        return self.extend(*self._take(rng))

    def _take(self, rng: random.Random) -> Sequence[PalletEvent]:
        taken = [event for event in self.pool if rng.random() < 0.5]
        self.pool = [event for event in self.pool if not any(event is one for one in taken)]
        return taken
