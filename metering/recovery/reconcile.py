"""Reads the raw records of store, book, journal and chain, and lets audit.py judge them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from uuid import UUID

import structlog

from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.records import Counters, Cursor, Restore
from metering.errors import ChainError
from metering.escrow.chain_audit import ChainReads, read_chain_state
from metering.model.audit import Row, audit
from metering.model.audit_records import Difference, Earner, EntryCounts, Records
from metering.model.batch_state import BatchState
from metering.model.cover_audit import billed_too, causes_of, covered_of, outside_passes, over_cap
from metering.model.entries import decode
from metering.model.ledger import NOBODY
from metering.model.passes import sums_of
from metering.recovery.derive import less_booked
from metering.settlement import journal
from metering.store.records import StoreTotals
from metering.units import SHARDS, AccountId, Cause, CutLine, EntryKey, Planck

_ALIGN_TIMES: Final = 25
_ALIGN_S: Final = 0.2

_log = structlog.get_logger(room="metering")


class AuditStore(Protocol):
    """What reconciling needs of `metering.store.client.Store`."""

    async def unbooked(self, shard: int, booked_number: int | None = None) -> tuple[CutLine, ...]:
        """Return what is pending or in cuts after `booked_number`."""

    async def totals(self) -> StoreTotals:
        """Return the counts over all shards."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The books, and what is wrong with them: nothing, or each difference named.

    Attributes:
        rows: Metered = settled + in flight + pending + refused, line by line.
        differences: Empty when the books balance.
        counters: Ticks beside the bill, as of the last round of cuts.
        restores: Each time at which the book was found to be an older one.
        is_chain_read: The chain's own storage was compared too.
        covered: Ticks that were watched and covered, by stream and account, and why; in no row.
    """

    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    counters: Counters
    restores: tuple[Restore, ...]
    is_chain_read: bool = False
    covered: Mapping[tuple[UUID, AccountId], Mapping[Cause, int]] = field(default_factory=dict)

    @property
    def is_balanced(self) -> bool:
        """Return True when no difference was found."""
        return not self.differences


async def reconcile(
    book: AsyncBook,
    store: AuditStore | None,
    *,
    has_journal: bool = True,
    reads: ChainReads | None = None,
    operator: AccountId = NOBODY,
) -> Reconciliation:
    """Derive the books again from the raw records, while everything goes on.

    The store is read before the book: a tick that moves from one to the other in between is found
    in both and counted once.

    Args:
        store: Where ticks are pending; None when it is away: then they are left out.
        has_journal: Settlement goes to the local journal: compare with it.
        reads: Settlement goes to a chain: compare with its storage, when it answers.

    Raises:
        StoreUnavailableError: Redis does not answer.
        ChainUnavailableError: The chain does not answer.
        BookError: The book does not answer.
    """
    unbooked: list[CutLine] = []
    before: StoreTotals | None = None
    if store is not None:
        before = await store.totals()
        numbers = await book.run(lambda book: book.cuts.booked_numbers())
        for shard in range(SHARDS):
            unbooked += await store.unbooked(shard, numbers.get(shard, 0))
    records, counters = await book.run(lambda book: read(book, unbooked, has_journal=has_journal))
    if reads is not None:
        records, counters = await _with_chain(book, reads, operator, unbooked)
    if store is not None and before is not None:
        after = await store.totals()
        records = replace(records, store_metered=(before.metered_ticks, after.metered_ticks))
    rows, differences = audit(records)
    lines, shows, caps, prices, passes = await book.run(
        lambda book: (
            book.covered.all(),
            book.show_caps.shows(),
            book.show_caps.all(),
            book.streams.prices(),
            book.passes.all(),
        )
    )
    covered = covered_of(((line.stream, line.account), line.runs) for line in lines)
    differences += billed_too(records, covered) + over_cap(records, shows, caps, prices)
    differences += outside_passes(lines, passes)
    restores = tuple(await book.run(lambda book: book.unbilled.restores()))
    return Reconciliation(
        rows,
        differences,
        counters,
        restores,
        records.chain is not None,
        causes_of(((line.stream, line.account), line.cause, line.runs) for line in lines),
    )


async def _with_chain(
    book: AsyncBook,
    reads: ChainReads,
    operator: AccountId,
    unbooked: list[CutLine],
) -> tuple[Records, Counters]:
    """Return the records with the state of the chain at the block up to which the book has read it.

    A batch may be final there and not yet closed in the book, or the other way round, for a second
    or two: both are read again until they speak of the same batch, or while they still may.
    """

    def again(book: Book) -> tuple[Records, Counters, Cursor | None, bool]:
        records, counters = read(book, unbooked, has_journal=False)
        of_book = of_chain(book, records, operator)
        return of_book, counters, book.escrow.cursor(), book.outbox.oldest() is not None

    for attempt in range(_ALIGN_TIMES):
        if attempt:
            await asyncio.sleep(_ALIGN_S)
        records, counters, cursor, is_open = await book.run(again)
        if cursor is None:
            break
        try:
            state = await read_chain_state(reads, records, cursor.hash, operator)
        except ChainError as error:
            _log.warning("metering.reconcile.blind", error=str(error))
            break
        records = replace(records, chain=state)
        # Ahead of a book that has nothing on its way, the chain stays ahead: no wait helps.
        if state.last_seq == records.last_seq or (
            state.last_seq > records.last_seq and not is_open
        ):
            break
    return records, counters


def of_chain(book: Book, records: Records, operator: AccountId) -> Records:
    """Return records of the book with what is to be compared with a chain."""
    refused: dict[int, list[int]] = defaultdict(list)
    for refusal in book.settlements.refusals():
        refused[refusal.seq].append(refusal.position)
    batches = {}
    before: int | None = None
    while page := book.settlements.newest(before_seq=before):
        for batch in page:
            before = batch.seq
            if batch.state is BatchState.FINALIZED:
                batches[batch.seq] = (bytes(batch.hash), tuple(sorted(refused[batch.seq])))
    return replace(
        records,
        batches=batches,
        passed_seq=book.adoption.passed_seq(),
        operator=operator,
        ended=frozenset((join.stream, join.account, join.number) for join in book.joins.ended()),
    )


def read(book: Book, unbooked: list[CutLine], *, has_journal: bool) -> tuple[Records, Counters]:
    """Return the records of the book, with what the store had left."""
    booked = book.cuts.booked_ticks()
    entries = book.cuts.entries()
    pending = less_booked(unbooked, booked, {entry.key: entry.booked for entry in entries})
    records = Records(
        tuple((line.key, line.runs) for line in booked),
        pending,
        {
            entry.key: EntryCounts(
                entry.booked,
                entry.settled,
                entry.refused,
                entry.planck_per_tick,
                entry.ahead,
            )
            for entry in entries
        },
        {
            stream.id: Earner(stream.creator, stream.platform_fee_ppm)
            for stream in book.streams.all()
        },
        {viewer.account: viewer.deposited for viewer in book.viewers.all()},
        book.ledger.balances(),
        tuple(book.ledger.unbalanced()),
        settled_by_journal(book) if has_journal else None,
        withdrawals=_went_out(book),
        payouts=book.payouts.by_holder(),
        bad_seconds=tuple((rule.stream, rule.run) for rule in book.bad_seconds.all()),
        given_back=tuple((back.key, back.runs) for back in book.given_back.all()),
        passes=sums_of(book.passes.all()),
        shares=book.splits.version_shares(),
    )
    return records, book.unbilled.counters()


def _went_out(book: Book) -> dict[AccountId, Planck]:
    """Return what left each viewer's escrow, or went back of their deposits."""
    sums = dict(book.escrow.withdrawals())
    for account, planck in book.returns.by_account().items():
        sums[account] = Planck(sums.get(account, 0) + planck)
    return sums


def settled_by_journal(book: Book) -> dict[EntryKey, int]:
    """Return what the journal settled of the batches that are final in the book.

    A batch that the book holds final and the journal has not, or has otherwise, counts as nothing,
    so that its entries show as differences.
    """
    refused = {(refusal.seq, refusal.position) for refusal in book.settlements.refusals()}
    counts: dict[EntryKey, int] = {}
    before: int | None = None
    while batches := book.settlements.newest(before_seq=before):
        for batch in batches:
            before = batch.seq
            record = book.journal.get(batch.seq)
            if batch.state is not BatchState.FINALIZED or record is None:
                continue
            entries = journal.parse(record.signed).entries
            for position, entry in enumerate(decode(entries)):
                if (batch.seq, position) not in refused:
                    counts[entry.key] = max(counts.get(entry.key, 0), entry.cumulative)
    return counts
