"""What a client of the call service sees: values, and the contract. Nothing here knows a node.

Control imports this and never `call_service.py`, which brings the chain's library, and that blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from metering.chain.node.extrinsic import Terms
from metering.chain.node.scale import Hash
from metering.units import AccountId


class CallOutcome(Enum):
    """The outcome of a call in finalized state."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    """It can never be included any more: another took its nonce, or its era is over."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Some storage at one block.

    Attributes:
        number: Of the block.
        hash: Of the block.
        nonce: Of the account that was asked for, 0 when none was.
        values: The value under each key; None where there is none.
    """

    number: int
    hash: Hash
    nonce: int
    values: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A call ready to be signed.

    Attributes:
        account: Who signs.
        call: Pallet and call index, then the arguments.
        terms: Nonce, era, versions, genesis.
        payload: What to sign.
        extra: What the runtime's extensions add to the extrinsic.
        extensions: Names of all of them, in the runtime's order.
    """

    account: AccountId
    call: bytes
    terms: Terms
    payload: bytes
    extra: bytes = b""
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a call.

    Attributes:
        outcome: Whether it is done, failed or expired.
        block: Number of the finalized block that holds it, 0 when none does.
        reason: Why it failed, such as ``TickStream.StreamExists``; empty when it did not.
    """

    outcome: CallOutcome
    block: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """Where a node is, and what it runs.

    Attributes:
        spec_name: Name of the runtime.
        spec_version: Its version.
        genesis: Hash of the first block.
        finalized: Number of the finalized head.
        best: Number of the best head.
        time_s: The chain's clock at the finalized head, Unix seconds.
        constants: Of the pallet.
    """

    spec_name: str
    spec_version: int
    genesis: Hash
    finalized: int
    best: int
    time_s: int
    constants: dict[str, int]


class ChainCalls(Protocol):
    """Reads and single calls: by `CallService`, or by asking the settler process."""

    async def facts(self) -> ChainFacts:
        """Return where the chain is."""

    async def read(
        self, keys: Sequence[bytes], account: AccountId | None = None, *, best: bool = False
    ) -> Reading:
        """Return the values under keys, all at one block."""

    async def prepare(
        self, account: AccountId, pallet: str, name: str, data: bytes, at: Hash
    ) -> Draft:
        """Return a call to sign, as of a block that was read."""

    async def send(self, draft: Draft, signature: bytes) -> Hash:
        """Hand a signed call over; return its hash."""

    async def verdict(self, draft: Draft, sent: Hash) -> Verdict:
        """Return its finalized outcome."""
