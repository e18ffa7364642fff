"""The raw records that audit.py judges, and what it says of them: values.

Source: docs/metering.md, "The books".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from metering.model.ledger import NOBODY, Holder
from metering.model.splits import VersionShares
from metering.units import AccountId, CutLine, EntryKey, Planck, Run, account_text


@dataclass(frozen=True, slots=True)
class EntryCounts:
    """What the book counts of an entry, beside its ticks.

    `ahead` is what the chain has settled beyond `settled`, for a book that was lost: adopted.
    """

    booked: int
    settled: int
    refused: int
    planck_per_tick: Planck
    ahead: int = 0

    @property
    def moved(self) -> int:
        """Return the ticks whose money has moved: settled from this book, and adopted."""
        return self.settled + self.ahead


@dataclass(frozen=True, slots=True)
class Earner:
    """Who earns of a stream."""

    creator: AccountId
    platform_fee_ppm: int


@dataclass(frozen=True, slots=True)
class ChainState:
    """A chain's own storage, at the finalized block up to which the book has read it.

    Attributes:
        last_seq: Newest batch of this operator.
        settled: Cumulative ticks of each entry of the book that it knows.
        joins: Stream, account and join number of each session that is still there; one that ended
            long ago may have been removed.
        held: Planck in the escrow of each viewer.
        totals: Ticks and planck that each stream ever had settled.
        credits: Planck that each payee has earned and not taken out.
        outcomes: Hash of the entries, and places of the refused ones, of the newest batches.
    """

    last_seq: int
    settled: Mapping[EntryKey, int]
    joins: frozenset[tuple[UUID, AccountId, int]]
    held: Mapping[AccountId, int]
    totals: Mapping[UUID, tuple[int, int]]
    credits: Mapping[AccountId, int]
    outcomes: Mapping[int, tuple[bytes, tuple[int, ...]]]


@dataclass(frozen=True, slots=True)
class Records:
    """The raw records, all read at about the same time; pending before the book.

    Attributes:
        booked: Every run of ticks in the book; a key may come many times.
        pending: Ticks that only the store has, less those that the book has.
        entries: What the book counts.
        earners: By stream.
        shares: Of payees, by stream and price version; none where it is left out.
        deposits: By account.
        ledger: Balance of every holder.
        unbalanced: Kind, reference and sum of each transfer that does not sum to nothing.
        journal: Settled cumulative ticks as the journal has them, of batches that are final in the
            book; None when batches go to a chain.
        store_metered: Least and most ticks that the store counted while this was read; None when it
            was not asked.
        withdrawals: What left each viewer's escrow.
        payouts: What went out of creators' earnings.
        passes: What passes moved from viewers to creators and the platform.
        bad_seconds: Stream and range of each standing rule.
        given_back: Ticks that were given back of entries, in parts.
        batches: Hash of the entries, and places of the refused ones, of each batch that is final in
            the book; only with a chain.
        passed_seq: Up to which number the chain had taken batches of a book that was lost.
        chain: The chain's own state; None when it was not asked.
        operator: The platform's account, which the chain pays its share to.
        ended: Joins that may have been removed from the chain.
    """

    booked: tuple[tuple[EntryKey, tuple[Run, ...]], ...]
    pending: tuple[CutLine, ...]
    entries: Mapping[EntryKey, EntryCounts]
    earners: Mapping[UUID, Earner]
    deposits: Mapping[AccountId, Planck]
    ledger: Mapping[Holder, Planck]
    unbalanced: tuple[tuple[str, str, Planck], ...] = ()
    journal: Mapping[EntryKey, int] | None = None
    store_metered: tuple[int, int] | None = None
    withdrawals: Mapping[AccountId, Planck] = field(default_factory=dict)
    payouts: Mapping[Holder, Planck] = field(default_factory=dict)
    passes: Mapping[Holder, Planck] = field(default_factory=dict)
    shares: VersionShares = field(default_factory=dict)
    bad_seconds: tuple[tuple[UUID, Run], ...] = ()
    given_back: tuple[tuple[EntryKey, tuple[Run, ...]], ...] = ()
    batches: Mapping[int, tuple[bytes, tuple[int, ...]]] = field(default_factory=dict)
    chain: ChainState | None = None
    operator: AccountId = NOBODY
    ended: frozenset[tuple[UUID, AccountId, int]] = frozenset()
    passed_seq: int = 0

    @property
    def last_seq(self) -> int:
        """Return the number of the newest batch that is final, as the book knows."""
        return max(self.passed_seq, *self.batches, 0)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two things that must be equal and are not.

    Attributes:
        subject: Whose, or which.
        what: Which law it breaks.
        expected: By the ticks.
        actual: By the record that is compared.
    """

    subject: str
    what: str
    expected: int
    actual: int

    def __str__(self) -> str:
        return f"{self.subject}: {self.what}: expected {self.expected}, found {self.actual}"


def subject_of(key: EntryKey) -> str:
    """Return an entry in words."""
    return (
        f"stream {key.stream} account {account_text(key.account)} "
        f"join {key.join} version {key.version}"
    )
