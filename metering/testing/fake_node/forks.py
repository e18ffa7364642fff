"""The fake node's blocks: a tree with one best chain, of which a beginning is finalized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from metering.chain.node.scale import Hash
from metering.testing.fake_node.runtime import Block
from metering.testing.fake_node.tables import BLOCK_HASH_COUNT

STATES_KEPT: Final = 256
"""Blocks behind the finalized one whose state can still be asked for: a node's usual pruning."""


class Forks:
    """All blocks that the node has seen.

    Attributes:
        finalized: Number of the newest finalized block.
    """

    def __init__(self, genesis: Block) -> None:
        self._blocks: dict[Hash, Block] = {genesis.hash: genesis}
        self._best: list[Hash] = [genesis.hash]
        self._siblings: dict[int, list[Hash]] = {}
        self.finalized = 0

    @property
    def head(self) -> Block:
        """Return the best block."""
        return self._blocks[self._best[-1]]

    @property
    def finalized_hash(self) -> Hash:
        """Return the hash of the newest finalized block."""
        return self._best[self.finalized]

    def hash_at(self, number: int) -> Hash | None:
        """Return the hash of a block of the best chain, None when there is none yet."""
        return self._best[number] if 0 <= number < len(self._best) else None

    def block(self, block_hash: Hash) -> Block | None:
        """Return a block of any fork."""
        return self._blocks.get(block_hash)

    def lookup(self, parent: Hash) -> Callable[[int], Hash | None]:
        """Return what a block that follows `parent` knows: hashes of its fork, by number.

        Block 0 is always known, as the genesis hash that extrinsics are bound to; of the others
        only the newest `BLOCK_HASH_COUNT`.
        """
        side: dict[int, Hash] = {}
        block = self._blocks[parent]
        height = block.number
        while self.hash_at(block.number) != block.hash:
            side[block.number] = block.hash
            block = self._blocks[block.parent]

        def hash_of(number: int) -> Hash | None:
            if number > height or 0 < number <= height - BLOCK_HASH_COUNT:
                return None
            return side.get(number) or self.hash_at(number)

        return hash_of

    def add(self, block: Block) -> None:
        """Put a block on the tree; it becomes the best when it is the highest."""
        self._blocks[block.hash] = block
        if block.number < len(self._best):
            self._siblings.setdefault(block.number, []).append(block.hash)
            return
        line: list[Hash] = []
        ancestor = block
        while self.hash_at(ancestor.number) != ancestor.hash:
            line.append(ancestor.hash)
            ancestor = self._blocks[ancestor.parent]
        for number in range(ancestor.number + 1, len(self._best)):
            self._siblings.setdefault(number, []).append(self._best[number])
        self._best[ancestor.number + 1 :] = reversed(line)

    def finalize(self, number: int) -> list[Block]:
        """Finalize the best chain up to a block; return those that became final, oldest first."""
        number = min(number, len(self._best) - 1)
        fresh = [
            self._blocks[self._best[height]] for height in range(self.finalized + 1, number + 1)
        ]
        for block in fresh:
            # A sibling of a finalized block can never be best any more.
            for sibling in self._siblings.pop(block.number, ()):
                if sibling != block.hash:
                    self._blocks.pop(sibling, None)
            old = block.number - STATES_KEPT
            if old >= 0:
                stale = self._best[old]
                self._blocks[stale] = replace(self._blocks[stale], values={})
        self.finalized = max(self.finalized, number)
        return fresh

    def retracted_by(self, ancestor: int) -> list[Block]:
        """Return the blocks of the best chain above a number, oldest first."""
        return [self._blocks[block_hash] for block_hash in self._best[ancestor + 1 :]]
