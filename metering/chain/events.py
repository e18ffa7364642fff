"""`ChainEvents` over a node, and over the settler's socket: what control follows the chain by."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from metering.caps import JoinLimits
from metering.chain import storage
from metering.chain.escrow import BlockRef, EventBlock, PalletEvent
from metering.chain.facts import PALLET
from metering.chain.follow import ChainEvents, Heads
from metering.chain.node import Node
from metering.chain.remote import Operation, Remote
from metering.chain.scale import U64, Hash
from metering.chain.substrate import RpcError
from metering.errors import BlockPrunedError, ChainUnavailableError, RuntimeUnsupportedError

WANTED: Final = frozenset(
    {
        "EscrowDeposited",
        "WithdrawRequested",
        "EscrowWithdrawn",
        "SessionOpened",
        "SessionEnded",
        "SessionReaped",
        "StreamClosed",
    }
)
"""Events that control follows; a batch of thousands of refusals need not cross the socket."""
_PRUNED: Final = ("discarded", "UnknownBlock", "pruned")
"""Words of a node that has forgotten a block's state (polkadot-sdk, `sc-client-db`)."""


class NodeEvents:
    """What a node says of heads, blocks and the pallet's events.

    Args:
        node: The node; whoever made it closes it.
    """

    def __init__(self, node: Node) -> None:
        self._node = node

    async def heads(self) -> Heads:
        """Return both heads."""
        # The best one last: it may only have gone on since.
        final = await self._node.finalized()
        best = await self._node.best()
        return Heads(BlockRef(final.number, final.hash), BlockRef(best.number, best.hash))

    async def hash_of(self, number: int) -> bytes:
        """Return the hash of the block at a height of the best branch."""
        if number == 0:
            return await self._node.genesis()
        found = await self._node.block_hash(number)
        if found is None:
            raise ChainUnavailableError(f"the node {self._node.url} has no block {number}")
        return found

    async def block(self, block_hash: bytes) -> EventBlock:
        """Return a block with the pallet's events, decoded."""
        head = await self._node.head(Hash(block_hash))
        try:
            now_ms = await self._node.value(U64, storage.now_key(), head.hash)
            events = await self._node.events(head)
        except ChainUnavailableError as error:
            cause = error.__cause__
            if isinstance(cause, RpcError) and any(word in cause.text for word in _PRUNED):
                raise BlockPrunedError(
                    f"the node {self._node.url} has forgotten the state of block {head.number}, "
                    "which the book has not taken: connect a node that keeps it (--state-pruning "
                    "archive), and raise --state-pruning above the blocks of your longest stop"
                ) from error
            raise
        found = tuple(
            PalletEvent(position, event.name, event.fields)
            for position, event in enumerate(events)
            if event.pallet == PALLET and event.name in WANTED
        )
        return EventBlock(head.number, head.hash, head.parent, (now_ms or 0) // 1000, found)

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return what lies under each key at a block, None where nothing does."""
        return [await self._node.raw(key, Hash(at)) for key in keys]

    async def limits(self) -> JoinLimits:
        """Return what the runtime in force says that bounds every join."""
        runtime = await self._node.runtime((await self._node.finalized()).hash)
        facts = runtime.facts
        try:
            return JoinLimits(
                facts.constant("TickBurst"),
                facts.constant("TickRatePpm"),
                facts.constant("MaxSessionPrices"),
                facts.constant("WithdrawNotice"),
            )
        except RuntimeUnsupportedError as error:
            raise RuntimeUnsupportedError(f"joins cannot be bounded: {error}") from error


def events_operations(events: NodeEvents) -> dict[str, Operation]:
    """Return the operations of `ChainEvents`, by name, for a `RemoteServer`."""

    async def heads() -> Any:
        found = await events.heads()
        return [_ref_wire(found.finalized), _ref_wire(found.best)]

    async def hash_of(number: int) -> Any:
        return _text(await events.hash_of(number))

    async def block(block_hash: str) -> Any:
        found = await events.block(_bytes(block_hash))
        wires = [[one.position, one.name, _fields_wire(one)] for one in found.events]
        return [found.number, _text(found.hash), _text(found.parent), found.at_s, wires]

    async def limits() -> Any:
        found = await events.limits()
        return [found.burst_ticks, found.rate_ppm, found.prices_max, found.notice_s]

    async def values(keys: list[str], at: str) -> Any:
        found = await events.values([_bytes(one) for one in keys], _bytes(at))
        return [None if one is None else _text(one) for one in found]

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
        return _bytes(await self._remote.call("events.hash_of", number))

    async def block(self, block_hash: bytes) -> EventBlock:
        """Return a block with the pallet's events, decoded."""
        number, found, parent, at_s, wires = await self._remote.call(
            "events.block", _text(block_hash)
        )
        events = tuple(
            PalletEvent(position, name, _fields(fields)) for position, name, fields in wires
        )
        return EventBlock(number, _bytes(found), _bytes(parent), at_s, events)

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return what lies under each key at a block, None where nothing does."""
        found = await self._remote.call("events.values", [_text(one) for one in keys], _text(at))
        return [None if one is None else _bytes(one) for one in found]

    async def limits(self) -> JoinLimits:
        """Return what the runtime in force says that bounds every join."""
        return JoinLimits(*await self._remote.call("events.limits"))


def _ref_wire(ref: BlockRef) -> list[Any]:
    return [ref.number, _text(ref.hash)]


def _ref(wire: list[Any]) -> BlockRef:
    return BlockRef(wire[0], _bytes(wire[1]))


def _fields_wire(event: PalletEvent) -> dict[str, Any]:
    """Return the fields as JSON: bytes as a list of one text."""
    return {
        name: [_text(value)] if isinstance(value, bytes) else value
        for name, value in event.fields.items()
    }


def _fields(wire: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _bytes(value[0]) if isinstance(value, list) else value for name, value in wire.items()
    }


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
