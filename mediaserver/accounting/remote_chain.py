"""The chain of the settler process: `metering.ports.Chain`, and the blocks that escrows follow.

`*_handlers` is what the settler runs; the `Remote...` classes call it from control. Methods travel
by their own signatures (`mediaserver.ipc.operations`); the two whose values JSON cannot carry by
type have their form on the wire here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from mediaserver.ipc.client import CallClient
from mediaserver.ipc.operations import Handlers, served
from metering.escrow.chain_audit import ChainReads
from metering.escrow.event_follower import ChainEvents, Heads
from metering.model.escrow_events import EventBlock, PalletEvent
from metering.model.join_caps import JoinLimits
from metering.ports import Chain, ChainLimits, ChainSettled, ChainSnapshot, InFlight
from metering.units import EntryKey

SOCKET: Final = "chain.sock"
"""File name of the settler's socket, in the run directory."""


class EventReads(ChainEvents, ChainReads, Protocol):
    """Both: `metering.escrow.node_events.NodeEvents`."""


def chain_handlers(chain: Chain) -> Handlers:
    """Return what serves a chain."""
    methods = (Chain.limits, Chain.sign, Chain.submit, Chain.look, Chain.last_settled)
    return served(chain, *methods) | served(_Entries(chain), _Entries.settled)


def event_handlers(events: EventReads) -> Handlers:
    """Return what serves blocks, their events, and reads at a block."""
    methods = (
        ChainEvents.heads,
        ChainEvents.hash_of,
        ChainEvents.limits,
        ChainReads.values,
    )
    return served(events, *methods) | served(_Blocks(events), _Blocks.block)


class RemoteChain:
    """A `metering.ports.Chain` at the other end of a `CallClient`."""

    def __init__(self, calls: CallClient) -> None:
        self._calls = calls

    async def limits(self) -> ChainLimits:
        """Return what the chain takes."""
        return await self._calls.call(Chain.limits)

    async def sign(
        self, seq: int, batch_hash: bytes, entries: bytes, alive: Sequence[bytes] = ()
    ) -> bytes:
        """Return the bytes to submit. No effect outside."""
        return await self._calls.call(Chain.sign, seq, batch_hash, entries, alive)

    async def submit(self, signed: bytes) -> None:
        """Hand the bytes over."""
        await self._calls.call(Chain.submit, signed)

    async def look(self, flights: Sequence[InFlight]) -> ChainSnapshot:
        """Return what finalized state says of batches, all read at one finalized block."""
        return await self._calls.call(Chain.look, flights)

    async def last_settled(self) -> int:
        """Return the highest finalized sequence number of this operator, 0 before the first."""
        return await self._calls.call(Chain.last_settled)

    async def settled(
        self, keys: Sequence[EntryKey], at: bytes | None = None
    ) -> ChainSettled | None:
        """Return what the chain itself keeps of entries."""
        settled = await self._calls.call(_Entries.settled, keys, at)
        if settled is None:
            return None
        ticks = {keys[index]: count for index, count in settled.ticks}
        return ChainSettled(settled.at, settled.last_seq, ticks)


class RemoteEvents:
    """`ChainEvents` and `ChainReads` at the other end of a `CallClient`."""

    def __init__(self, calls: CallClient) -> None:
        self._calls = calls

    async def heads(self) -> Heads:
        """Return both heads."""
        return await self._calls.call(ChainEvents.heads)

    async def hash_of(self, number: int) -> bytes:
        """Return the hash of the block at a height of the best branch."""
        return await self._calls.call(ChainEvents.hash_of, number)

    async def block(self, block_hash: bytes) -> EventBlock:
        """Return a block with the pallet's events, decoded."""
        block = await self._calls.call(_Blocks.block, block_hash)
        events = tuple(
            PalletEvent(
                event.position,
                event.name,
                {
                    name: value[0] if isinstance(value, tuple) else value
                    for name, value in event.fields.items()
                },
            )
            for event in block.events
        )
        return EventBlock(block.number, block.hash, block.parent, block.at_s, events)

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return what is stored under each key at a block, None where nothing is."""
        return await self._calls.call(ChainReads.values, keys, at)

    async def limits(self) -> JoinLimits:
        """Return what the runtime in force says that bounds every join."""
        return await self._calls.call(ChainEvents.limits)


class _SettledWire(msgspec.Struct, frozen=True, array_like=True):
    """`ChainSettled`; `ticks` pairs an index into the keys that were asked for with a count."""

    at: bytes
    last_seq: int
    ticks: tuple[tuple[int, int], ...]


class _Entries:
    """`Chain.settled` with keys by their index: an object's keys are text in JSON."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    async def settled(self, keys: Sequence[EntryKey], at: bytes | None) -> _SettledWire | None:
        """Return what the chain keeps of entries."""
        settled = await self._chain.settled(keys, at)
        if settled is None:
            return None
        counts = ((index, settled.ticks.get(key)) for index, key in enumerate(keys))
        ticks = tuple((index, count) for index, count in counts if count is not None)
        return _SettledWire(settled.at, settled.last_seq, ticks)


_Field = bool | int | str | tuple[bytes] | dict[str, Any] | None
"""Bytes are an array of one: in JSON they would be text like any other."""


class _EventWire(msgspec.Struct, frozen=True, array_like=True):
    position: int
    name: str
    fields: dict[str, _Field]


class _BlockWire(msgspec.Struct, frozen=True, array_like=True):
    number: int
    hash: bytes
    parent: bytes
    at_s: int
    events: tuple[_EventWire, ...]


class _Blocks:
    """`ChainEvents.block` with fields whose type JSON can tell."""

    def __init__(self, events: ChainEvents) -> None:
        self._events = events

    async def block(self, block_hash: bytes) -> _BlockWire:
        """Return a block with the pallet's events."""
        block = await self._events.block(block_hash)
        events = tuple(
            _EventWire(
                event.position,
                event.name,
                {
                    name: (value,) if isinstance(value, bytes) else value
                    for name, value in event.fields.items()
                },
            )
            for event in block.events
        )
        return _BlockWire(block.number, block.hash, block.parent, block.at_s, events)
