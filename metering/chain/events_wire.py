"""`ChainEvents`, and reads at a block, over the settler's socket: how control follows a chain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from metering.chain.link import Operation, Remote, to_bytes, to_text
from metering.escrow.chain_audit import ChainReads
from metering.escrow.event_follower import ChainEvents, Heads
from metering.model.escrow_events import BlockRef, EventBlock, PalletEvent
from metering.model.join_caps import JoinLimits


class EventReads(ChainEvents, ChainReads, Protocol):
    """Both: `metering.chain.node_events.NodeEvents`."""


def events_operations(events: EventReads) -> dict[str, Operation]:
    """Return the operations of `ChainEvents`, by name, for a `RemoteServer`."""

    async def heads() -> Any:
        found = await events.heads()
        return [_ref_wire(found.finalized), _ref_wire(found.best)]

    async def hash_of(number: int) -> Any:
        return to_text(await events.hash_of(number))

    async def block(block_hash: str) -> Any:
        found = await events.block(to_bytes(block_hash))
        wires = [[one.position, one.name, _fields_wire(one)] for one in found.events]
        return [found.number, to_text(found.hash), to_text(found.parent), found.at_s, wires]

    async def limits() -> Any:
        found = await events.limits()
        return [found.burst_ticks, found.rate_ppm, found.prices_max, found.notice_s]

    async def values(keys: list[str], at: str) -> Any:
        found = await events.values([to_bytes(one) for one in keys], to_bytes(at))
        return [None if one is None else to_text(one) for one in found]

    return {
        "events.values": values,
        "events.heads": heads,
        "events.hash_of": hash_of,
        "events.block": block,
        "events.limits": limits,
    }


class RemoteEvents:
    """`ChainEvents` at the other end of a `Remote`."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote

    async def heads(self) -> Heads:
        """Return both heads."""
        finalized, best = await self._remote.call("events.heads")
        return Heads(_ref(finalized), _ref(best))

    async def hash_of(self, number: int) -> bytes:
        """Return the hash of the block at a height of the best branch."""
        return to_bytes(await self._remote.call("events.hash_of", number))

    async def block(self, block_hash: bytes) -> EventBlock:
        """Return a block with the pallet's events, decoded."""
        number, found, parent, at_s, wires = await self._remote.call(
            "events.block", to_text(block_hash)
        )
        events = tuple(
            PalletEvent(position, name, _fields(fields)) for position, name, fields in wires
        )
        return EventBlock(number, to_bytes(found), to_bytes(parent), at_s, events)

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return what lies under each key at a block, None where nothing does."""
        found = await self._remote.call(
            "events.values", [to_text(one) for one in keys], to_text(at)
        )
        return [None if one is None else to_bytes(one) for one in found]

    async def limits(self) -> JoinLimits:
        """Return what the runtime in force says that bounds every join."""
        return JoinLimits(*await self._remote.call("events.limits"))


def _ref_wire(ref: BlockRef) -> list[Any]:
    return [ref.number, to_text(ref.hash)]


def _ref(wire: list[Any]) -> BlockRef:
    return BlockRef(wire[0], to_bytes(wire[1]))


def _fields_wire(event: PalletEvent) -> dict[str, Any]:
    """Return the fields as JSON: bytes as a list of one text."""
    return {
        name: [to_text(value)] if isinstance(value, bytes) else value
        for name, value in event.fields.items()
    }


def _fields(wire: dict[str, Any]) -> dict[str, Any]:
    return {
        name: to_bytes(value[0]) if isinstance(value, list) else value
        for name, value in wire.items()
    }
