"""`ChainEvents`, and reads at a block, of a node: the settler process serves it to control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metering.chain.node import storage
from metering.chain.node.client import Node
from metering.chain.node.runtime_info import PALLET
from metering.chain.node.scale import U64, Hash
from metering.chain.node.substrate import RpcError
from metering.errors import BlockPrunedError, ChainUnavailableError, RuntimeUnsupportedError
from metering.escrow.event_follower import Heads
from metering.model.escrow_events import BlockRef, EventBlock, PalletEvent
from metering.model.join_caps import JoinLimits

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
    """Heads, blocks and the pallet's events, from a node.

    Args:
        node: The node; its owner closes it.
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
        block_hash = await self._node.block_hash(number)
        if block_hash is None:
            raise ChainUnavailableError(f"the node {self._node.url} has no block {number}")
        return block_hash

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
        pallet_events = tuple(
            PalletEvent(position, event.name, event.fields)
            for position, event in enumerate(events)
            if event.pallet == PALLET and event.name in WANTED
        )
        return EventBlock(head.number, head.hash, head.parent, (now_ms or 0) // 1000, pallet_events)

    async def values(self, keys: Sequence[bytes], at: bytes) -> list[bytes | None]:
        """Return the value under each key at a block, None where there is none."""
        return await self._node.raws(keys, Hash(at))

    async def limits(self) -> JoinLimits:
        """Return the bounds of every join in the runtime in force."""
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
