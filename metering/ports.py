"""The ports of metering. Each docstring is the contract that tests/contract judges by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from metering.units import (
    NO_COVER,
    AccountId,
    Admission,
    Cover,
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
        cover: What of it may be covered.
    """

    account: AccountId
    stream: bytes
    session: SessionId
    runs: tuple[PricedRun, ...]
    video_ms: int
    audio_ms: int
    cover: Cover = NO_COVER


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What the store said to a claim.

    Attributes:
        verdict: GRANTED, `PURSE`, LIMIT, SESSION, PACE, TOO_OLD or FUTURE.
        new_ticks: Ticks billed by it; 0 when all were watched before or when refused.
        cost_units: What those cost.
        balance_units: Balance after it.
        covered_ticks: New ticks that were covered: nothing was asked for them.
    """

    verdict: Verdict
    new_ticks: int
    cost_units: Units
    balance_units: Units
    covered_ticks: int = 0


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
        """Report what was delivered: never refused, what the balance cannot pay is counted unpaid.

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


@dataclass(frozen=True, slots=True)
class InFlight:
    """A batch that is not final in the book.

    Attributes:
        seq: Which.
        hash: blake2b-256 of its entries.
        signed: The newest signed bytes that may still take effect; None when there are none.
    """

    seq: int
    hash: bytes
    signed: bytes | None


class BatchStatus(Enum):
    """What finalized state says of a batch that was in flight."""

    WAITING = "waiting"
    """Nothing yet: the same bytes may be sent again."""
    FINAL = "final"
    """It took effect."""
    EXPIRED = "expired"
    """Its bytes can never take effect any more, and nothing has: sign it again."""
    FAILED = "failed"
    """Its bytes are in a finalized block and failed there; nothing moved: sign it again."""
    USURPED = "usurped"
    """Another transaction of the key took the nonce; nothing of ours moved: sign it again."""
    OTHER_CONTENT = "other_content"
    """The sequence number is taken by a batch with another hash: a person must look."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one reading of finalized state says of one batch.

    Attributes:
        seq: Which.
        status: What became of it.
        outcome: With FINAL and OTHER_CONTENT.
        reason: Why, for people; empty for WAITING and FINAL.
        is_in_block: True when the best chain holds it, though it is not final.
    """

    seq: int
    status: BatchStatus
    outcome: BatchOutcome | None = None
    reason: str = ""
    is_in_block: bool = False


@dataclass(frozen=True, slots=True)
class ChainSnapshot:
    """One consistent reading of a chain.

    Attributes:
        finalized: Number of the finalized block (or journal record) that was read.
        best: Number of the best block; re-broadcasts follow it.
        last_settled: Highest finalized sequence number of this operator.
        findings: One for each batch asked of, in that order.
    """

    finalized: int
    best: int
    last_settled: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ChainLimits:
    """What a chain takes.

    Attributes:
        entries_max: Entries in one batch; None is no bound of its own.
        in_flight_max: Batches that may be signed before the first of them is final.
    """

    entries_max: int | None
    in_flight_max: int


@dataclass(frozen=True, slots=True)
class ChainSettled:
    """What a chain itself keeps of entries, at one finalized block.

    Attributes:
        at: Which block; ask for further entries at the same.
        last_seq: Highest sequence number of this operator there.
        ticks: Cumulative ticks of each entry that was asked of and has any.
    """

    at: bytes
    last_seq: int
    ticks: Mapping[EntryKey, int]


class Chain(Protocol):
    """Where batches are settled: the journal, a fake node or a real chain.

    Contract: `sign` gives bytes that are kept before `submit` is first called. `submit` may be
    repeated with the same bytes and says nothing about the outcome. Only `look`, which reads
    finalized state, decides: bytes that it calls EXPIRED, FAILED or USURPED never take effect
    afterwards. Sequence numbers per operator have no gaps; a batch whose seq is at or below the
    last settled one is a no-op. Entries are cumulative, so an entry at or below what is settled
    changes nothing. The back end keeps nothing between calls that it cannot do without: it may be
    killed and started again at any time.
    """

    async def limits(self) -> ChainLimits:
        """Return what the chain takes.

        Raises:
            ChainUnavailableError: Try again.
            RuntimeUnsupportedError: An operator must act; nothing is lost.
        """

    async def sign(
        self, seq: int, batch_hash: bytes, entries: bytes, alive: Sequence[bytes] = ()
    ) -> bytes:
        """Return the bytes to submit. No effect outside.

        Args:
            batch_hash: blake2b-256 of `entries`.
            entries: SCALE bytes.
            alive: Signed bytes of all batches that may still take effect: their places in the
                queue are taken.

        Raises:
            ChainUnavailableError: Try again.
            BatchTooLargeError: No block takes so many entries: seal them in smaller batches.
            RuntimeUnsupportedError: An operator must act; nothing is lost.
        """

    async def submit(self, signed: bytes) -> None:
        """Hand the bytes over.

        Raises:
            ChainUnavailableError: It may or may not have arrived; submit the same bytes again.
            ExtrinsicRejectedError: They are not this operator's, or not whole.
        """

    async def look(self, flights: Sequence[InFlight]) -> ChainSnapshot:
        """Return what finalized state says of batches, all read at one finalized block.

        Raises:
            ChainUnavailableError: Try again.
            OutcomeUnknownError: The chain has dropped what it must be asked: a person must look.
        """

    async def last_settled(self) -> int:
        """Return the highest finalized sequence number of this operator, 0 before the first.

        Raises:
            ChainUnavailableError: Try again.
        """

    async def settled(
        self, keys: Sequence[EntryKey], at: bytes | None = None
    ) -> ChainSettled | None:
        """Return what the chain itself keeps of entries; None when it keeps batches only.

        Args:
            at: A finalized block of an earlier answer; None is the newest.

        Raises:
            ChainUnavailableError: Try again.
        """
