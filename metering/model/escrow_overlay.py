"""What the blocks between the finalized and the best one say of escrows and joins. Pure.

It is computed again at every head and never added up: provisional credit by the best branch, within
a cap over all viewers; a withdrawal by any block that was seen, since to freeze too much costs a
wait and to freeze too little costs money.

Source: docs/metering.md, "Deposits from the chain".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metering.errors import InvalidValueError
from metering.model.escrow_events import (
    BlockRef,
    EventBlock,
    JoinEvent,
    Kind,
    escrow_events,
    frozen_after,
    join_events,
)
from metering.units import AccountId, Planck


@dataclass(frozen=True, slots=True)
class Overlay:
    """The state of the blocks after the finalized one.

    Attributes:
        base: Newest block that the book has taken.
        head: Best block.
        provisional: Credit for deposits that are not final, by account.
        frozen: Requested for withdrawal or withdrawn, by account, what is final included; for an
            account that is missing here the book's amount holds.
        joins: Events of the best branch about joins, in order.
        skew_s: Our clock less the chain's.
    """

    base: BlockRef
    head: BlockRef
    provisional: Mapping[AccountId, Planck]
    frozen: Mapping[AccountId, Planck]
    joins: tuple[JoinEvent, ...] = ()
    skew_s: int = 0

    @property
    def accounts(self) -> frozenset[AccountId]:
        """Return whose balance it changes."""
        return frozenset(self.provisional) | frozenset(self.frozen)


def overlay(
    base: BlockRef,
    blocks: Iterable[EventBlock],
    best: BlockRef,
    *,
    operator: AccountId,
    frozen: Mapping[AccountId, Planck],
    cap: Planck,
    skew_s: int = 0,
) -> Overlay:
    """Return the state of the blocks above the finalized one.

    Args:
        base: Newest block that the book has taken.
        blocks: Every block above it that was seen and may still become final, forks included.
        best: Head of the best branch; its blocks down to `base` must be among them.
        cap: Most provisional credit of all viewers together. Deposits have it in their order.
        skew_s: Our clock less the chain's, for `Overlay`.

    Raises:
        InvalidValueError: If the branch of `best` does not reach down to `base`.
    """
    by_hash = {block.hash: block for block in blocks if block.number > base.number}
    branch = _branch(base, by_hash, best)
    provisional: dict[AccountId, int] = defaultdict(int)
    left = int(cap)
    for block in branch:
        for event in escrow_events(block, operator):
            if event.kind is Kind.DEPOSIT and left > 0:
                credit = min(left, event.planck)
                provisional[event.account] += credit
                left -= credit
    return Overlay(
        base,
        best,
        {account: Planck(planck) for account, planck in provisional.items() if planck},
        _frozen(base, by_hash, operator, frozen),
        tuple(event for block in branch for event in join_events(block)),
        skew_s,
    )


def _branch(
    base: BlockRef, by_hash: Mapping[bytes, EventBlock], best: BlockRef
) -> Sequence[EventBlock]:
    """Return the blocks from the one after `base` to `best`."""
    blocks: list[EventBlock] = []
    at = best.hash
    while at != base.hash:
        block = by_hash.get(at)
        if block is None:
            raise InvalidValueError(
                f"block {best.number} does not descend from block {base.number}, "
                f"0x{base.hash.hex()}: the branch is not known that far"
            )
        blocks.append(block)
        at = block.parent
    return blocks[::-1]


def _frozen(
    base: BlockRef,
    by_hash: Mapping[bytes, EventBlock],
    operator: AccountId,
    frozen: Mapping[AccountId, Planck],
) -> dict[AccountId, Planck]:
    """Return the most that is asked back, or gone, after any block that was seen, by account.

    Along each branch what has left since `base` is added to what is requested then: a withdrawal
    that is carried out and followed by another request takes both.
    """
    states: dict[bytes, dict[AccountId, tuple[int, int]]] = {base.hash: {}}
    most: dict[AccountId, int] = {}
    for block in sorted(by_hash.values(), key=lambda block: block.number):
        state = states.get(block.parent, {})
        events = escrow_events(block, operator)
        if events:
            state = dict(state)
        for event in events:
            if event.kind is Kind.DEPOSIT:
                continue
            gone, asked = state.get(event.account, (0, frozen.get(event.account, 0)))
            gone += event.planck if event.kind is Kind.WITHDRAWAL else 0
            asked = frozen_after(Planck(asked), event)
            state[event.account] = gone, asked
            known = most.get(event.account, frozen.get(event.account, 0))
            most[event.account] = max(known, gone + asked)
        states[block.hash] = state
    return {account: Planck(planck) for account, planck in most.items()}
