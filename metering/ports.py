"""The ports of metering. Each docstring is the contract that tests/contract judges by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from metering.units import (
    AccountId,
    Admission,
    EntryKey,
    Fetch,
    PricedRun,
    Run,
    SessionId,
    StreamPolicy,
    Units,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Asked before serving; may be refused.

    Attributes:
        account: Who pays.
        stream: 16 bytes, big-endian UUID.
        session: Which player.
        runs: The ticks with their prices; may be empty when only a delivery is reported.
        video_ms: Media delivered to the session since its last claim, video bucket, this object
        included.
        audio_ms: The same for the audio bucket.
    """

    account: AccountId
    stream: bytes
    session: SessionId
    runs: tuple[PricedRun, ...]
    video_ms: int
    audio_ms: int


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What the store said to a claim.

    Attributes:
        verdict: GRANTED, PURSE, LIMIT, SESSION, PACE or TOO_OLD.
        new_ticks: Ticks billed by it; 0 when all were billed before or when refused.
        cost_units: What those cost.
        balance_units: Purse after it.
    """

    verdict: Verdict
    new_ticks: int
    cost_units: Units
    balance_units: Units


class Claims(Protocol):
    """Claims to the store, durable before the answer.

    Contract: dedupe, pace, limits, balance and count are one atomic step (law 5). A refused claim
    changes nothing. The same ticks claimed again, in any order, cost nothing. Claims made while
    others are under way are sent together when the previous reply lands: no timer.
    """

    async def claim(self, claim: Claim) -> ClaimAnswer:
        """Ask the store.

        Raises:
            StoreUnavailableError: Not known whether it took effect; the same claim may be repeated.
        """

    async def offer(self, evidence: Sequence[Claim]) -> None:
        """Report what was delivered: never refused, what the purse cannot pay is counted unpaid.

        Raises:
            StoreUnavailableError: Repeat the whole of it later.
        """

    @property
    def is_ready(self) -> bool:
        """True while the store is connected and is the one that control last recovered."""


class Gate(Protocol):
    """May this viewer go on: the one question that media asks of money.

    Contract: order of a priced media request is token, wait, bytes, `admit`, first byte (rules 4).
    `admit_now` answers without waiting when memory suffices, else None.
    """

    def policy(self, slug: str) -> StreamPolicy | None:
        """Return what control last said of a stream, None when unknown."""

    def is_priced(self, policy: StreamPolicy, run: Run) -> bool:
        """True when any tick of the run costs something."""

    def admit_now(self, fetch: Fetch) -> Admission | None:
        """Answer from memory, or None when the store must be asked."""

    async def admit(self, fetch: Fetch) -> Admission:
        """Claim the object. A refusal is a verdict, not an error; STORE when the store is away."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One cumulative line of a settlement batch."""

    key: EntryKey
    cumulative: int


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """What finalized state says of a batch.

    Attributes:
        seq: Which.
        hash: blake2b-256 of the entries' bytes that took effect.
        refused: Index of each refused entry with its reason; all others are settled.
        finalized_at: Block (or journal record) number.
    """

    seq: int
    hash: bytes
    refused: tuple[tuple[int, str], ...]
    finalized_at: int


class Chain(Protocol):
    """Where batches are settled: the journal, a fake node or a real chain.

    Contract: `sign` gives bytes that are kept before `submit` is first called. `submit` may be
    repeated with the same bytes and says nothing about the outcome. Only `outcome`, which reads
    finalized state, decides. Sequence numbers per operator have no gaps; a batch whose seq is at or
    below the last settled one is a no-op. Entries are cumulative, so an entry at or below what is
    settled changes nothing.
    """

    async def sign(self, seq: int, batch_hash: bytes, entries: bytes) -> bytes:
        """Return the bytes to submit. No effect outside.

        Raises:
            ChainUnavailableError: Try again.
        """

    async def submit(self, signed: bytes) -> None:
        """Hand the bytes over.

        Raises:
            ChainUnavailableError: It may or may not have arrived; submit the same bytes again.
            ExtrinsicRejectedError: It will never be accepted.
        """

    async def outcome(self, seq: int) -> BatchOutcome | None:
        """Return what finalized state says of batch `seq`, None while it is not final.

        Raises:
            ChainUnavailableError: Try again.
            ExtrinsicExpiredError: The signed bytes are dead: sign the same batch again.
        """

    async def last_settled(self) -> int:
        """Return the highest finalized sequence number of this operator, 0 before the first."""
