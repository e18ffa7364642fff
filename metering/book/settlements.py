"""Batches, their signed attempts, and their finalized outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, select, update

from metering.book import schema
from metering.book.bad_seconds import give_back_settled
from metering.book.facts import BatchFinal, Facts
from metering.book.outbox import (
    batch_of,
    insert_batches,
    last_seq,
    record_of,
    require_token,
)
from metering.book.postings import post
from metering.book.records import BatchRecord, Refusal
from metering.book.rows import (
    Repository,
    accounts_of,
    chunks,
    is_key,
    key_binds,
    key_of,
    key_values,
)
from metering.book.split_rows import version_shares
from metering.errors import LedgerImbalanceError
from metering.model import batch
from metering.model.batch_state import BatchState
from metering.model.entries import decode
from metering.model.ledger import Settled, settlement_postings
from metering.ports import BatchOutcome, Entry
from metering.units import Asset, EntryKey, Planck


class SettlementRepository(Repository):
    """Reads and writes settlement batches."""

    def __init__(self, engine: Engine, asset: Asset, facts: Facts) -> None:
        super().__init__(engine, asset)
        self._facts = facts

    def seal(
        self, now_ms: int, entries_max: int, *, with_refused: bool = False
    ) -> list[BatchRecord]:
        """Seal what is booked and in no batch yet; return the new batches, oldest first.

        Args:
            entries_max: Bound of one batch; more entries make more batches.
            with_refused: Carry again what the chain refused, though nothing was added to it.
        """
        cuts, lines, entries = schema.cuts.c, schema.cut_lines.c, schema.entries.c
        with self._writing() as connection:
            unbatched = select(cuts.id).where(~cuts.is_forgotten, cuts.batch_seq.is_(None))
            carried = [
                (key_of(row), row.cumulative)
                for row in connection.execute(
                    select(schema.cut_lines).where(lines.cut.in_(unbatched))
                )
            ]
            if with_refused:
                carried += [
                    (key_of(row), row.booked)
                    for row in connection.execute(select(schema.entries).where(entries.refused > 0))
                ]
            ahead = _ahead(connection)
            carried = [(key, count + ahead.get(key, 0)) for key, count in carried]
            sealed = batch.seal(carried, last_seq(connection) + 1, entries_max)
            if not sealed:
                return []
            insert_batches(connection, sealed, now_ms)
            connection.execute(
                update(schema.cuts)
                .where(~cuts.is_forgotten, cuts.batch_seq.is_(None))
                .values(batch_seq=sealed[-1].seq)
            )
        return [self.get(made.seq) for made in sealed]

    def get(self, seq: int) -> BatchRecord:
        """Return a batch.

        Raises:
            UnknownNameError: If there is none of this number.
        """
        with self._reading() as connection:
            return batch_of(connection, seq)

    def newest(self, limit: int = 100, before_seq: int | None = None) -> list[BatchRecord]:
        """Return the newest batches, newest first, below a number if one is given."""
        query = select(schema.batches).order_by(schema.batches.c.seq.desc()).limit(limit)
        if before_seq is not None:
            query = query.where(schema.batches.c.seq < before_seq)
        with self._reading() as connection:
            return [record_of(row) for row in connection.execute(query)]

    def last_sealed_ms(self) -> int:
        """Return when the newest batch was sealed, 0 before the first."""
        with self._reading() as connection:
            newest: int | None = connection.execute(
                select(func.max(schema.batches.c.sealed_ms))
            ).scalar_one()
        return newest or 0

    def finalize(self, outcome: BatchOutcome, now_ms: int, token: int = 0) -> BatchRecord:
        """Close a batch with its finalized outcome, and post what it settled; once.

        In one transaction: the outcome, its refusals, each entry's settled count, the ledger, and
        what standing rules give back of it (bad_seconds.py).

        Args:
            outcome: From finalized state.
            token: Fencing token of the submitter (outbox.py).

        Raises:
            SubmitterLostError: If a later submitter has taken over.
            LedgerImbalanceError: If what is final is not what the book sealed.
            UnknownNameError: If there is no such batch.
        """
        with self._writing() as connection:
            require_token(connection, token)
            record = batch_of(connection, outcome.seq)
            if record.hash != outcome.hash:
                raise LedgerImbalanceError(
                    f"batch {outcome.seq} is final with other content than the book has"
                )
            if record.state is not BatchState.FINALIZED:
                carried = decode(record.entries)
                reasons = dict(outcome.refused)
                taken = [entry for at, entry in enumerate(carried) if at not in reasons]
                settled = _settle(connection, taken)
                post(
                    connection,
                    "settlement",
                    str(outcome.seq),
                    now_ms,
                    settlement_postings(settled),
                )
                _refuse(connection, outcome.seq, carried, reasons)
                connection.execute(
                    update(schema.batches)
                    .where(schema.batches.c.seq == outcome.seq)
                    .values(
                        state=BatchState.FINALIZED.value,
                        finalized_ms=now_ms,
                        finalized_at=outcome.finalized_at,
                    )
                )
                moved = sum((item.after - item.before) * item.planck_per_tick for item in settled)
                fact = BatchFinal(
                    outcome.seq,
                    outcome.hash,
                    now_ms,
                    len(carried),
                    len(reasons),
                    Planck(moved),
                )
                self._facts.tell(connection, fact)
                give_back_settled(connection, outcome.seq, now_ms)
        return self.get(outcome.seq)

    def exposure(self) -> tuple[int, Planck]:
        """Return ticks that are booked and not final, and what they cost: the operator's risk."""
        entries, prices = schema.entries.c, schema.prices.c
        query = (
            select(func.sum(entries.booked - entries.settled), prices.planck_per_tick)
            .join(
                schema.prices,
                (prices.stream == entries.stream) & (prices.number == entries.version),
            )
            .where(entries.booked > entries.settled)
            .group_by(entries.stream, entries.version, prices.planck_per_tick)
        )
        with self._reading() as connection:
            sums = [(int(ticks), int(planck)) for ticks, planck in connection.execute(query)]
        return sum(ticks for ticks, _ in sums), Planck(sum(a * b for a, b in sums))

    def refusals(self, seq: int | None = None) -> list[Refusal]:
        """Return every refused entry, or those of one batch, oldest first."""
        refusals = schema.refusals.c
        query = select(schema.refusals).order_by(refusals.seq, refusals.position)
        if seq is not None:
            query = query.where(refusals.seq == seq)
        with self._reading() as connection:
            return [
                Refusal(row.seq, row.position, key_of(row), row.cumulative, row.reason)
                for row in connection.execute(query)
            ]


def last_final(connection: Connection) -> int:
    """Return up to which number all batches are final."""
    batches = schema.batches.c
    oldest_open: int | None = connection.execute(
        select(func.min(batches.seq)).where(batches.state != BatchState.FINALIZED.value)
    ).scalar_one()
    if oldest_open is not None:
        return oldest_open - 1
    newest: int | None = connection.execute(select(func.max(batches.seq))).scalar_one()
    return newest or 0


def _settle(connection: Connection, taken: Sequence[Entry]) -> list[Settled]:
    """Move the settled counts of entries on; return from where to where each went on the chain."""
    entries, streams, prices = schema.entries.c, schema.streams.c, schema.prices.c

    # Every entry of the batch with its price, fee and creator, in few queries.
    known: dict[EntryKey, Row[Any]] = {}
    for accounts in chunks(accounts_of([entry.key for entry in taken])):
        for row in connection.execute(
            select(
                schema.entries,
                prices.planck_per_tick,
                streams.platform_fee_ppm,
                streams.creator,
            )
            .join(
                schema.prices,
                (prices.stream == entries.stream) & (prices.number == entries.version),
            )
            .join(schema.streams, streams.id == entries.stream)
            .where(entries.account.in_(accounts))
        ):
            known[key_of(row)] = row

    shares = version_shares(connection, {key.stream for key in known})

    # An entry is cumulative: what is new is its difference to what was settled before. The chain
    # also counts ticks of a book that was lost (`ahead`); they are not this book's.
    out, moved = [], []
    for entry in taken:
        row = known[entry.key]
        cumulative = entry.cumulative - row.ahead
        if cumulative <= row.settled:
            continue  # cumulative: an entry at or below what is settled changes nothing
        out.append(
            Settled(
                entry.key,
                row.settled + row.ahead,
                entry.cumulative,
                row.planck_per_tick,
                row.platform_fee_ppm,
                row.creator,
                shares.get((entry.key.stream, entry.key.version), ()),
            )
        )
        still_refused = 0 if cumulative >= row.refused else row.refused
        moved.append(
            {**key_binds(entry.key), "to_settled": cumulative, "to_refused": still_refused}
        )
    if moved:
        connection.execute(
            update(schema.entries)
            .where(*is_key(schema.entries))
            .values(settled=bindparam("to_settled"), refused=bindparam("to_refused")),
            moved,
        )
    return out


def _refuse(
    connection: Connection, seq: int, carried: Sequence[Entry], reasons: dict[int, str]
) -> None:
    """Write down what was refused: a state, not an end."""
    if not reasons:
        return
    ahead = _ahead(connection)
    counts = {at: carried[at].cumulative - ahead.get(carried[at].key, 0) for at in reasons}
    connection.execute(
        insert(schema.refusals),
        [
            {
                "seq": seq,
                "position": position,
                **key_values(carried[position].key),
                "cumulative": counts[position],
                "reason": reason,
            }
            for position, reason in sorted(reasons.items())
        ],
    )
    connection.execute(
        update(schema.entries)
        .where(*is_key(schema.entries), schema.entries.c.settled < bindparam("at"))
        .values(refused=bindparam("at")),
        [
            {**key_binds(carried[position].key), "at": counts[position]}
            for position in sorted(reasons)
        ],
    )


def _ahead(connection: Connection) -> dict[EntryKey, int]:
    """Return how far the chain is ahead of the book, of the entries where it is: mostly none."""
    entries = schema.entries.c
    query = select(schema.entries).where(entries.ahead > 0)
    return {key_of(row): row.ahead for row in connection.execute(query)}
