"""The local back end of settlement: a journal in the book that keeps the contract of a chain.

Append-only, hash-chained, each record signed by the operator. A record becomes final some time
after it was submitted, and its outcome is learnt by asking later, never from `submit`.

Signed bytes: ``seq u64, batch hash [32], operator [32], signature [64], entries`` (little-endian);
the signature is over ``"VLKJ", seq, batch hash``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from metering import signing as keys
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.journal_rows import FIRST_PREVIOUS, JournalRecord, JournalRepository, record_hash
from metering.errors import (
    BookError,
    ChainUnavailableError,
    ExtrinsicRejectedError,
    InvalidValueError,
)
from metering.model.entries import batch_hash, decode
from metering.ports import (
    BatchOutcome,
    BatchStatus,
    ChainLimits,
    ChainSettled,
    ChainSnapshot,
    Finding,
    InFlight,
)
from metering.units import AccountId, EntryKey

_HEAD: Final = struct.Struct("<Q32s32s64s")
T = TypeVar("T")
_PAGE: Final = 200
"""Records read at once while verifying: some 100 MB at the largest batches."""


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """The content of signed bytes."""

    seq: int
    hash: bytes
    operator: AccountId
    signature: bytes = field(repr=False)
    entries: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JournalBreak:
    """The first record that does not hold, and why."""

    number: int
    reason: str


class Journal:
    """A `metering.ports.Chain` over the book's own journal.

    Args:
        operator: Who signs; bytes signed by others are refused.
        finality_ms: How long a record takes to become final.
    """

    def __init__(
        self,
        book: AsyncBook,
        operator: keys.KeyPair,
        now_ms: Callable[[], int],
        finality_ms: int,
    ) -> None:
        self._book = book
        self._operator = operator
        self._now_ms = now_ms
        self._finality_ms = finality_ms

    async def limits(self) -> ChainLimits:
        """Return what the journal takes: any batch, one at a time."""
        return ChainLimits(None, 1)

    async def sign(
        self,
        seq: int,
        batch_hash: bytes,
        entries: bytes,
        alive: Sequence[bytes] = (),  # noqa: ARG002 -- a journal has no queue
    ) -> bytes:
        """Return the bytes to submit. No effect outside."""
        signature = self._operator.sign(_message(seq, batch_hash))
        return _HEAD.pack(seq, batch_hash, self._operator.account, signature) + entries

    async def submit(self, signed: bytes) -> None:
        """Append the batch when it is the next; a batch that it already has is a no-op.

        Raises:
            ChainUnavailableError: The book did not answer; submit the same bytes again.
            ExtrinsicRejectedError: They are not signed by this operator, or leave a gap.
        """
        batch = parse(signed)
        if batch.operator != self._operator.account:
            raise ExtrinsicRejectedError("the batch is signed by another operator")
        now_ms = self._now_ms()
        final_ms = now_ms + self._finality_ms
        newest = await self._ask(
            lambda book: book.journal.append(batch.seq, signed, now_ms, final_ms)
        )
        if batch.seq > newest:
            raise ExtrinsicRejectedError(f"batch {batch.seq} leaves a gap after {newest}")

    async def look(self, flights: Sequence[InFlight]) -> ChainSnapshot:
        """Return the finalized state of batches.

        Raises:
            ChainUnavailableError: Try again.
        """
        last = await self.last_settled()
        return ChainSnapshot(
            last, last, last, tuple([await self._find(flight) for flight in flights])
        )

    async def _find(self, flight: InFlight) -> Finding:
        seq = flight.seq
        record = await self._ask(lambda book: book.journal.get(seq))
        if record is None or record.final_ms > self._now_ms():
            return Finding(seq, BatchStatus.WAITING)
        outcome = BatchOutcome(seq, parse(record.signed).hash, (), record.number)
        if outcome.hash != flight.hash:
            reason = f"batch {seq} is final with other content"
            return Finding(seq, BatchStatus.OTHER_CONTENT, outcome, reason)
        return Finding(seq, BatchStatus.FINAL, outcome)

    async def last_settled(self) -> int:
        """Return the highest finalized sequence number, 0 before the first.

        Raises:
            ChainUnavailableError: Try again.
        """
        now_ms = self._now_ms()
        return await self._ask(lambda book: book.journal.last_final(now_ms))

    async def settled(
        self,
        keys: Sequence[EntryKey],  # noqa: ARG002 -- the port's
        at: bytes | None = None,  # noqa: ARG002 -- the same
    ) -> ChainSettled | None:
        """Return None: a journal keeps batches only."""
        return None

    async def _ask(self, work: Callable[[Book], T]) -> T:
        try:
            return await self._book.run(work)
        except BookError as error:
            raise ChainUnavailableError(f"the journal does not answer: {error}") from error


def parse(signed: bytes) -> SignedBatch:
    """Return the content of signed bytes, when they are whole and signed by the operator in them.

    Raises:
        ExtrinsicRejectedError: With what is wrong with them.
    """
    try:
        seq, hashed, operator, signature = _HEAD.unpack_from(signed)
        entries = signed[_HEAD.size :]
        decode(entries)
    except (struct.error, InvalidValueError) as error:
        raise ExtrinsicRejectedError(f"the batch cannot be read: {error}") from error
    if hashed != batch_hash(entries):
        raise ExtrinsicRejectedError(f"batch {seq} does not match its hash")
    if not keys.is_signed(AccountId(operator), _message(seq, hashed), signature):
        raise ExtrinsicRejectedError(f"batch {seq} is not signed by the operator it names")
    return SignedBatch(seq, hashed, AccountId(operator), signature, entries)


def verify(records: JournalRepository) -> JournalBreak | None:
    """Return the first record of the journal that does not hold, None when all do.

    Checked: numbers and sequence numbers without a gap, every hash, every signature.
    """
    number, previous = 0, FIRST_PREVIOUS
    while page := records.page(number, _PAGE):
        for record in page:
            reason = _fault(record, number + 1, previous)
            if reason:
                return JournalBreak(number + 1, reason)
            number, previous = record.number, record.hash
    return None


def _fault(record: JournalRecord, number: int, previous: bytes) -> str:
    """Return what is wrong with a record, empty when nothing is."""
    if record.number != number:
        return f"record {number} is missing"
    if record.previous != previous:
        return "it does not follow the record before it"
    if record.hash != record_hash(record):
        return "its content does not match its hash"
    if record.seq != number:
        return f"it holds batch {record.seq}, so one is missing"
    try:
        parse(record.signed)
    except ExtrinsicRejectedError as error:
        return str(error)
    return ""


def _message(seq: int, hashed: bytes) -> bytes:
    """Return what the operator signs."""
    return b"VLKJ" + struct.pack("<Q", seq) + hashed
