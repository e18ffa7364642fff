"""What finalized state says of one batch: a pure table, asked in one order.

1. The chain's last sequence number is at or above the batch's: it is done, no matter who sent it.
2. The account's nonce is above the attempt's: *some* transaction took its place. Which one, a look
   into the blocks since the attempt's birth says: ours, and it failed; or another one.
3. The finalized head is at or past the attempt's death: the bytes can never be included any more.
4. Else wait.

Never is the text of an answer asked, nor whether a submit went well. Once 1 is false at a finalized
block and 2 or 3 is true at the same block, the bytes can never take effect: their nonce is used, or
their era is over. So to sign the same batch again cannot charge twice; the pallet's sequence makes
sure of it a second time.

Source: docs/metering.md, "Settled exactly once"; polkadot-sdk, ``check_mortality.rs``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from metering.chain.node.extrinsic import Terms
from metering.ports import BatchStatus


@dataclass(frozen=True, slots=True)
class FinalState:
    """What was read at one finalized block.

    Attributes:
        number: Of that block.
        genesis: Hash of the chain's first block.
        nonce: Of the operator's account: how many of its transactions are in.
        last_seq: Number of its last batch that took effect.
    """

    number: int
    genesis: bytes
    nonce: int
    last_seq: int


class InclusionStatus(Enum):
    """What the finalized blocks since an attempt's birth hold of it."""

    NOT_ASKED = "not asked"
    FAILED = "failed"
    """Its extrinsic is there, and failed."""
    ABSENT = "absent"
    """It is not there."""
    PRUNED = "pruned"
    """The node no longer has all of those blocks."""


class Decision(Enum):
    """What follows."""

    READ_OUTCOME = "read outcome"
    """It is settled: read how."""
    LOOK_BACK = "look back"
    """Look for the extrinsic in the blocks since its birth, then ask again."""
    SIGN = "sign"
    """Nothing is signed."""
    WAIT = "wait"
    EXPIRED = "expired"
    FAILED = "failed"
    USURPED = "usurped"
    OTHER_CHAIN = "other chain"
    """The node is not on the chain that the bytes were signed for: nothing follows."""

    @property
    def status(self) -> BatchStatus:
        """Return the status that the port tells for it."""
        return _FATE.get(self, BatchStatus.WAITING)


_FATE = {
    Decision.EXPIRED: BatchStatus.EXPIRED,
    Decision.FAILED: BatchStatus.FAILED,
    Decision.USURPED: BatchStatus.USURPED,
}


def decide(
    seq: int,
    terms: Terms | None,
    final: FinalState,
    inclusion: InclusionStatus = InclusionStatus.NOT_ASKED,
) -> Decision:
    """Return what follows for batch `seq`, whose newest attempt was signed under `terms`.

    Args:
        terms: Of its newest attempt; None when it has none that may live.
        inclusion: What the blocks hold of the attempt, once they were asked.
    """
    if terms is not None and final.genesis != terms.genesis:
        return Decision.OTHER_CHAIN
    if final.last_seq >= seq:
        return Decision.READ_OUTCOME
    if terms is None:
        return Decision.SIGN
    if final.nonce > terms.nonce:
        match inclusion:
            case InclusionStatus.NOT_ASKED:
                return Decision.LOOK_BACK
            case InclusionStatus.FAILED:
                return Decision.FAILED
            case _:
                return Decision.USURPED
    if final.number >= terms.era.death:
        return Decision.EXPIRED
    return Decision.WAIT


def next_nonce(final_nonce: int, best_nonce: int, alive: frozenset[int]) -> int:
    """Return the nonce of a new attempt: the lowest that is neither used nor taken.

    So an attempt that died unseen is replaced at its own nonce, for which those behind it wait, and
    one that failed goes behind them.

    Args:
        final_nonce: Of the account at the finalized head.
        best_nonce: Of the account at the best head: what others of the key did just now.
        alive: Nonces of all attempts that may still be included.
    """
    nonce = max(final_nonce, best_nonce)
    while nonce in alive:
        nonce += 1
    return nonce
