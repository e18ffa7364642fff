"""Balances derived again from the ticks alone; every difference named.

The law: metered = settled + in flight + pending + refused, per stream, account and price version,
and the ledger holds what those ticks cost. Nothing here trusts a count that the ticks can give.

A book that was restored has adopted ticks beside: the chain settled them for the book that was
lost. Those ticks are not known any more, so they are a count of their own; the chain has moved
their money, so the ledger has too, and chain and book must be equal with them, to the planck.

Source: docs/metering.md, "The books".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering.model import ticks
from metering.model.audit_records import (
    ChainState,
    Difference,
    EntryCounts,
    Records,
    subject_of,
)
from metering.model.bad_seconds_audit import wrongly_given_back
from metering.model.ledger import Holder, Role, cost, earned_by
from metering.units import AccountId, EntryKey, Planck, Run, account_text

_NOTHING: Final = Planck(0)


@dataclass(frozen=True, slots=True)
class Row:
    """Ticks of one stream, account and price version, and what they cost.

    Attributes:
        metered: Ticks in cuts or pending: what was billed.
        settled: Final on the chain.
        in_flight: Booked, not final yet.
        pending: Not booked yet.
        refused: Refused by the chain, carried again by a later entry.
        planck: What `metered` costs.
        adopted: Final on the chain for a book that was lost; in none of the counts above.
        adopted_planck: What `adopted` cost: the chain has moved it, and so has the ledger.
    """

    stream: UUID
    account: AccountId
    version: int
    metered: int
    settled: int
    in_flight: int
    pending: int
    refused: int
    planck: Planck
    adopted: int = 0
    adopted_planck: Planck = _NOTHING


def audit(records: Records) -> tuple[tuple[Row, ...], tuple[Difference, ...]]:
    """Return the books by stream, account and version, and all that is wrong with them."""
    booked = _runs_by_key(records.booked)
    differences = [
        *_twice(records),
        *_counts(records, booked),
        *_journal(records),
        *_chain_state(records),
        *_money(records),
        *wrongly_given_back(records),
        *_store(records),
    ]
    return _rows(records, booked), tuple(differences)


def _rows(records: Records, booked: Mapping[EntryKey, tuple[Run, ...]]) -> tuple[Row, ...]:
    """Return one row per stream, account and version; join numbers are added up."""
    # Add up the keys of book, entries and pending ticks; the place in the list is the column of
    # `Row`.
    sums: dict[tuple[UUID, AccountId, int], list[int]] = defaultdict(lambda: [0] * 8)
    pending = {line.key: ticks.count(line.runs) for line in records.pending}
    for key in booked.keys() | records.entries.keys() | pending.keys():
        counts = records.entries.get(key, EntryCounts(0, 0, 0, Planck(0)))
        in_book = ticks.count(booked.get(key, ()))
        refused = max(0, counts.refused - counts.settled)
        metered = in_book + pending.get(key, 0)
        row = sums[key.stream, key.account, key.version]
        row[0] += metered
        row[1] += counts.settled
        row[2] += counts.booked - counts.settled - refused
        row[3] += pending.get(key, 0)
        row[4] += refused
        row[5] += metered * counts.planck_per_tick
        row[6] += counts.ahead
        row[7] += counts.ahead * counts.planck_per_tick
    out = []
    for (stream, account, version), row in sums.items():
        metered, settled, in_flight, waiting, refused, *costs = row
        planck, adopted, adopted_planck = Planck(costs[0]), costs[1], Planck(costs[2])
        seconds = (metered, settled, in_flight, waiting, refused)
        out.append(Row(stream, account, version, *seconds, planck, adopted, adopted_planck))
    return tuple(sorted(out, key=lambda row: (row.stream.int, row.account, row.version)))


def _twice(records: Records) -> Iterable[Difference]:
    """Name each second of a stream that is billed twice to one account."""
    seen: dict[tuple[UUID, AccountId], tuple[Run, ...]] = {}
    for key, runs in [*records.booked, *((line.key, line.runs) for line in records.pending)]:
        at = (key.stream, key.account)
        twice = ticks.intersection(seen.get(at, ()), runs)
        if twice:
            yield Difference(
                subject_of(key),
                f"second {twice[0].first} and what follows is billed again",
                0,
                ticks.count(twice),
            )
        seen[at] = ticks.union(seen.get(at, ()), runs)


def _counts(records: Records, booked: Mapping[EntryKey, tuple[Run, ...]]) -> Iterable[Difference]:
    """Name each entry whose counts are not those of its ticks."""
    for key in booked.keys() | records.entries.keys():
        counts = records.entries.get(key)
        have = ticks.count(booked.get(key, ()))
        if counts is None:
            yield Difference(subject_of(key), "ticks without an entry", have, 0)
            continue
        if counts.booked != have:
            yield Difference(subject_of(key), "booked count", have, counts.booked)
        if counts.settled > have:
            yield Difference(
                subject_of(key), "settled above what was watched", have, counts.settled
            )


def _journal(records: Records) -> Iterable[Difference]:
    """Name each entry that the journal has settled otherwise than the book."""
    if records.journal is None:
        return
    for key in records.journal.keys() | records.entries.keys():
        entry = records.entries.get(key)
        in_book = 0 if entry is None else entry.settled
        journaled = records.journal.get(key, 0)
        if in_book != journaled:
            yield Difference(subject_of(key), "settled in the journal", in_book, journaled)


def _chain_state(records: Records) -> Iterable[Difference]:
    """Name each difference between the chain's own storage and the book."""
    chain = records.chain
    if chain is None:
        return

    # Batches: the newest number, and the content and the refused entries of each one kept.
    last, there = records.last_seq, chain.last_seq
    if there != last:
        yield Difference("the operator", "newest batch final on the chain", last, there)
    for seq, (hashed, refused) in records.batches.items():
        if seq not in chain.outcomes:
            continue
        other, not_taken = chain.outcomes[seq]
        if other != hashed:
            yield Difference(f"batch {seq}", "final on the chain with other content", 0, 1)
        for place in sorted(set(refused) ^ set(not_taken)):
            booked, actual = int(place in refused), int(place in not_taken)
            yield Difference(f"batch {seq}, entry {place}", "refused by the chain", booked, actual)

    # Entries: what the chain has settled of each; it prunes joins that ended long ago.
    ticks_of: dict[UUID, int] = defaultdict(int)
    cost_of: dict[UUID, int] = defaultdict(int)
    for key, counts in records.entries.items():
        ticks_of[key.stream] += counts.moved
        cost_of[key.stream] += cost(counts.moved, counts.planck_per_tick)
        join = (key.stream, key.account, key.join)
        actual = chain.settled.get(key, 0)
        is_kept = join in chain.joins or join not in records.ended
        if is_kept and actual != counts.moved:
            yield Difference(subject_of(key), "settled on the chain", counts.moved, actual)

    # Streams: the sums of their entries, which the chain keeps when the joins are pruned.
    for stream in records.earners:
        settled, amount = chain.totals.get(stream, (0, 0))
        had, cost_had = ticks_of[stream], cost_of[stream]
        if settled != had:
            yield Difference(f"stream {stream}", "ticks settled on the chain", had, settled)
        if amount != cost_had:
            yield Difference(f"stream {stream}", "planck settled on the chain", cost_had, amount)

    # Viewers: escrow is the balance of the ledger.
    for account, held in chain.held.items():
        balance = records.ledger.get(Holder(Role.VIEWER, account), 0)
        if held != balance:
            viewer = f"viewer {account_text(account)}"
            yield Difference(viewer, "planck in escrow on the chain", balance, held)
    yield from _credits(records, chain)


def _credits(records: Records, chain: ChainState) -> Iterable[Difference]:
    """Name each payee who has more on the chain than they earned; less was taken out."""
    earned: dict[AccountId, int] = defaultdict(int)
    for holder, planck in records.ledger.items():
        if holder.role is Role.CREATOR:
            earned[holder.account] += planck
        elif holder.role is Role.PLATFORM:
            earned[records.operator] += planck
    for account, there in chain.credits.items():
        if there > earned[account]:
            subject = f"payee {account_text(account)}"
            yield Difference(subject, "credit on the chain, at most", earned[account], there)


def _money(records: Records) -> Iterable[Difference]:
    """Name each holder whose balance is not what deposits, ticks, payouts and refunds make."""
    expected: dict[Holder, int] = defaultdict(int)
    went_out = sum(records.withdrawals.values()) + sum(records.payouts.values())
    expected[Holder(Role.OUTSIDE)] = went_out - sum(records.deposits.values())
    for account, planck in records.deposits.items():
        expected[Holder(Role.VIEWER, account)] += planck
    for account, planck in records.withdrawals.items():
        expected[Holder(Role.VIEWER, account)] -= planck
    for holder, planck in records.payouts.items():
        expected[holder] -= planck
    for holder, planck in records.passes.items():
        expected[holder] += planck
    given: dict[EntryKey, int] = defaultdict(int)
    for key, runs in records.given_back:
        given[key] += ticks.count(runs)
    for key, counts in records.entries.items():
        earner = records.earners.get(key.stream)
        if earner is None:
            yield Difference(subject_of(key), "entries of an unknown stream", 0, counts.booked)
            continue
        shares = records.shares.get((key.stream, key.version), ())
        terms = (key.stream, earner.platform_fee_ppm, earner.creator, shares)
        for count, sign in ((counts.moved, 1), (given[key], -1)):
            paid = cost(count, counts.planck_per_tick)
            expected[Holder(Role.VIEWER, key.account)] -= sign * paid
            for holder, part in earned_by(paid, *terms).items():
                expected[holder] += sign * part
    for holder in expected.keys() | records.ledger.keys():
        want, actual = expected.get(holder, 0), records.ledger.get(holder, 0)
        if want != actual:
            yield Difference(_holder(holder), "planck in the ledger", want, actual)
    total = sum(records.ledger.values())
    if total:
        yield Difference("the ledger", "sum of all balances", 0, total)
    for kind, reference, planck in records.unbalanced:
        yield Difference(f"{kind} {reference}", "sum of its postings", 0, planck)


def _store(records: Records) -> Iterable[Difference]:
    """Name the store's own count of metered ticks when the ticks make another."""
    if records.store_metered is None:
        return
    least, most = records.store_metered
    have = sum(ticks.count(runs) for _, runs in records.booked)
    have += sum(ticks.count(line.runs) for line in records.pending)
    if not least <= have <= most:
        bound = least if have < least else most
        yield Difference("the store", "metered ticks, all accounts", have, bound)


def _runs_by_key(
    booked: Iterable[tuple[EntryKey, tuple[Run, ...]]],
) -> dict[EntryKey, tuple[Run, ...]]:
    by_key: dict[EntryKey, list[Run]] = defaultdict(list)
    for key, runs in booked:
        by_key[key].extend(runs)
    return {key: ticks.normal(runs) for key, runs in by_key.items()}


def _holder(holder: Holder) -> str:
    account = f" {account_text(holder.account)}" if holder.account else ""
    stream = f" of stream {holder.stream}" if holder.stream else ""
    return f"{holder.role.value}{account}{stream}"
