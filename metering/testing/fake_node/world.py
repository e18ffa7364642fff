"""The fake node without its sockets: blocks are made, forked and finalized; faults happen.

Everything here is a plain call with an answer, so a test may drive it alone; `rpc.py` gives it
the node's JSON-RPC, `node.py` a clock and a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from metering.chain.node.scale import Hash
from metering.chain.node.storage import now_key
from metering.errors import InvalidValueError
from metering.testing.fake_node import pool
from metering.testing.fake_node.faults import REORG_DEPTH_MAX, STALL_BLOCKS_MAX, Faults
from metering.testing.fake_node.forks import Forks
from metering.testing.fake_node.pool import Pool, RpcError, invalid
from metering.testing.fake_node.runtime import (
    Block,
    Extrinsic,
    Validity,
    build,
    decode_extrinsic,
    genesis,
    validity,
)
from metering.testing.fake_node.state import State
from metering.units import AccountId

STALL_INDEFINITELY: Final = -1


@dataclass(frozen=True, slots=True)
class Head:
    """News of a block.

    Attributes:
        block: Which.
        is_final: It became final; else it became best.
    """

    block: Block
    is_final: bool


class World:
    """A chain with one node.

    Args:
        now_ms: Chain time of block 0.
        finality_blocks: How far the finalized head is behind the best one.
        funds: Planck of further accounts at genesis.

    Attributes:
        is_closing: Every connection is to be closed: the node has just started again.
        notify: Called with each new head.
    """

    def __init__(
        self,
        seed: int,
        *,
        now_ms: int,
        rates: dict[str, float] | None = None,
        finality_blocks: int = 2,
        funds: dict[AccountId, int] | None = None,
    ) -> None:
        self.faults = Faults(seed, rates)
        self.finality_blocks = finality_blocks
        self.forks = Forks(genesis(seed, now_ms, funds))
        self.pool = Pool()
        self.is_closing = False
        self.notify: Callable[[Head], None] = lambda _head: None
        self._stall_left = 0
        self._made = 0

    def submit(self, raw: bytes) -> Hash:
        """Take an extrinsic into the pool.

        Raises:
            RpcError: With the node's code: docs/developer/chains.md, "The fake node".
        """
        if self.faults.happens("upgrade"):
            self.make_block(is_upgrade=True)
        try:
            extrinsic = decode_extrinsic(raw)
        except InvalidValueError as error:
            raise RpcError(1002, "Verification Error", str(error)) from error
        self._refuse_by_chance()
        number = self.forks.head.number + 1
        self.pool.check_new(extrinsic, number)
        verdict = self._judge(extrinsic)
        if verdict not in (Validity.READY, Validity.FUTURE):
            raise invalid(verdict)
        if verdict is Validity.FUTURE and self.faults.happens("future_refused"):
            raise pool.future_refused()
        self.pool.add(extrinsic, must_usurp=self.faults.happens("usurp"))
        return extrinsic.hash

    def make_block(self, *, is_upgrade: bool = False) -> Block:
        """Make the next block, with whatever goes wrong around it; return the best block then."""
        if self.faults.happens("restart"):
            self.restart()
        if self.faults.happens("reorg"):
            self.reorg(self.faults.chance.randint(1, REORG_DEPTH_MAX))
        for extrinsic in self.pool.all():
            if self.faults.happens("drop"):
                self.pool.drop(extrinsic)
        self._extend(self.forks.head, is_upgrade=is_upgrade)
        if self._stall_left == 0 and self.faults.happens("stall"):
            self._stall_left = self.faults.chance.randint(1, STALL_BLOCKS_MAX)
        if self._stall_left:
            self._stall_left -= self._stall_left > 0
        else:
            lag = self.finality_blocks
            if self.faults.happens("lag"):
                lag += self.faults.chance.randint(1, 5)
            self.finalize(self.forks.head.number - lag)
        return self.forks.head

    def finalize(self, number: int | None = None) -> None:
        """Make the best chain final up to a block, or all of it."""
        up_to = self.forks.head.number if number is None else number
        for block in self.forks.finalize(up_to):
            self._announce(block, is_final=True)

    def stall(self, blocks: int = STALL_INDEFINITELY) -> None:
        """Let nothing become final for so many blocks, or until set to 0."""
        self._stall_left = blocks

    def reorg(self, depth: int) -> int:
        """Replace the newest blocks by one more of another fork; return how many were replaced.

        What they held goes back to the pool, or is lost by chance. Finalized blocks stay.
        """
        depth = min(depth, self.forks.head.number - self.forks.finalized)
        if depth < 1:
            return 0
        ancestor = self.forks.head.number - depth
        retracted = self.forks.retracted_by(ancestor)
        parent_hash = self.forks.hash_at(ancestor)
        assert parent_hash is not None
        parent = self.forks.block(parent_hash)
        assert parent is not None
        for block in retracted:
            for raw in block.extrinsics[1:]:
                extrinsic = decode_extrinsic(raw)
                self.pool.unban([extrinsic.hash])
                if self.faults.happens("lose"):
                    continue
                self._return_to_pool(extrinsic)
        for _ in range(depth + 1):
            parent = self._extend(parent)
        return depth

    def travel(self, now_ms: int) -> int:
        """Move the best block's time, as chopsticks does; return it. Time never goes back.

        Raises:
            InvalidValueError: If it is before the best block's.
        """
        values = self.forks.head.values
        if now_ms < values[now_key()]:
            raise InvalidValueError(f"chain time {now_ms} is before {values[now_key()]}")
        values[now_key()] = now_ms
        return now_ms

    def restart(self) -> None:
        """Forget the pool and every connection."""
        self.pool.clear()
        self.is_closing = True

    def _extend(self, parent: Block, *, is_upgrade: bool = False) -> Block:
        """Make a block on `parent` out of what waits."""
        hash_of = self.forks.lookup(parent.hash)
        ready = self.pool.ready(State(parent.values))
        if self.faults.happens("empty"):
            ready = []
        self._made += 1
        block, _left = build(
            parent, ready, hash_of=hash_of, salt=b"%d" % self._made, is_upgrade=is_upgrade
        )
        self.forks.add(block)
        held = set(block.extrinsics)
        included = [extrinsic for extrinsic in ready if extrinsic.raw in held]
        for extrinsic in included:
            self.pool.drop(extrinsic)
        self.pool.ban([extrinsic.hash for extrinsic in included], block.number)
        if self.forks.head.hash == block.hash:
            self.pool.revalidate(self._judge, block.number)
            self._announce(block, is_final=False)
        return block

    def _return_to_pool(self, extrinsic: Extrinsic) -> None:
        try:
            self.pool.add(extrinsic)
        except RpcError:
            return

    def _judge(self, extrinsic: Extrinsic) -> Validity:
        head = self.forks.head
        return validity(
            State(head.values),
            extrinsic,
            block=head.number + 1,
            hash_of=self.forks.lookup(head.hash),
        )

    def _refuse_by_chance(self) -> None:
        made: dict[str, Callable[[], Exception]] = {
            "unknown_validity": pool.unknown_validity,
            "banned": pool.banned,
            "low_priority": lambda: pool.low_priority(1, 1),
            "pool_full": pool.pool_full,
            "unactionable": pool.unactionable,
            "bad_proof": lambda: invalid(Validity.BAD_PROOF),
            "stale": lambda: invalid(Validity.STALE),
        }
        for name, make in made.items():
            if self.faults.happens(name):
                raise make()

    def _announce(self, block: Block, *, is_final: bool) -> None:
        self.notify(Head(block, is_final))

    def values_at(self, block_hash: Hash | None) -> tuple[Block, dict[bytes, Any]]:
        """Return a block, the best by default, and the state after it.

        Raises:
            RpcError: 4003 when the block is unknown or its state was let go of.
        """
        block = self.forks.head if block_hash is None else self.forks.block(block_hash)
        if block is None:
            raise RpcError(4003, "Client error: UnknownBlock: Header was not found in the database")
        if not block.values:
            raise RpcError(4003, "Client error: UnknownBlock: State already discarded")
        return block, block.values
