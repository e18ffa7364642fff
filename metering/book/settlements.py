"""Batches, their signed attempts, and what finalized state said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from metering import batch
from metering.book import schema
from metering.book.postings import post
from metering.book.records import Attempt, BatchRecord, Refusal
from metering.book.rows import (
    Rows,
    accounts_of,
    chunks,
    is_key,
    key_binds,
    key_of,
    key_values,
)
from metering.chain.entries import decode
from metering.errors import InvalidValueError, LedgerImbalanceError, UnknownNameError
from metering.ledger import Settled, settlement_postings
from metering.ports import BatchOutcome, Entry
from metering.settlement import BatchState
from metering.units import EntryKey


class SettlementRows(Rows):
    """The part of the book about settlement batches."""

    def seal(
        self, now_ms: int, entries_max: int, *, with_refused: bool = False
    ) -> list[BatchRecord]:
        """Seal what is booked and in no batch yet; return the new batches, oldest first.

        Args:
            now_ms: Unix time.
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
            last = connection.execute(select(func.max(schema.batches.c.seq))).scalar_one() or 0
            sealed = batch.seal(carried, last + 1, entries_max)
            if not sealed:
                return []
            connection.execute(
                insert(schema.batches),
                [
                    {
                        "seq": one.seq,
                        "hash": one.hash,
                        "entries": one.entries,
                        "entry_count": one.count,
                        "state": BatchState.SEALED.value,
                        "sealed_ms": now_ms,
                    }
                    for one in sealed
                ],
            )
            connection.execute(
                update(schema.cuts)
                .where(~cuts.is_forgotten, cuts.batch_seq.is_(None))
                .values(batch_seq=sealed[-1].seq)
            )
        return [self.batch(one.seq) for one in sealed]

    def batch(self, seq: int) -> BatchRecord:
        """Return a batch.

        Raises:
            UnknownNameError: If there is none of this number.
        """
        with self._reading() as connection:
            return _batch(connection, seq)

    def batches(self, limit: int = 100, before_seq: int | None = None) -> list[BatchRecord]:
        """Return the newest batches, newest first, below a number if one is given."""
        query = select(schema.batches).order_by(schema.batches.c.seq.desc()).limit(limit)
        if before_seq is not None:
            query = query.where(schema.batches.c.seq < before_seq)
        return self._batches(query)

    def open_batch(self) -> BatchRecord | None:
        """Return the oldest batch that is not final: the one the settler works on."""
        batches = schema.batches.c
        query = (
            select(schema.batches)
            .where(batches.state != BatchState.FINALIZED.value)
            .order_by(batches.seq)
            .limit(1)
        )
        return next(iter(self._batches(query)), None)

    def last_sealed_ms(self) -> int:
        """Return when the newest batch was sealed, 0 before the first."""
        with self._reading() as connection:
            newest: int | None = connection.execute(
                select(func.max(schema.batches.c.sealed_ms))
            ).scalar_one()
        return newest or 0

    def add_attempt(self, seq: int, signed: bytes, now_ms: int) -> Attempt:
        """Keep signed bytes, before they are sent; the batch is *signed* from now on."""
        with self._writing() as connection:
            last = connection.execute(
                select(func.max(schema.attempts.c.number)).where(schema.attempts.c.seq == seq)
            ).scalar_one()
            number = (last or 0) + 1
            connection.execute(
                insert(schema.attempts).values(
                    seq=seq, number=number, signed=signed, signed_ms=now_ms
                )
            )
            _set_state(connection, seq, BatchState.SIGNED)
        return Attempt(seq, number, signed, now_ms, None, None)

    def attempts(self, seq: int) -> list[Attempt]:
        """Return the attempts of a batch, oldest first; the last one's bytes are to be sent."""
        attempts = schema.attempts.c
        with self._reading() as connection:
            return [
                Attempt(row.seq, row.number, row.signed, row.signed_ms, row.sent_ms, row.trouble)
                for row in connection.execute(
                    select(schema.attempts).where(attempts.seq == seq).order_by(attempts.number)
                )
            ]

    def set_batch_state(
        self, seq: int, state: BatchState, now_ms: int, trouble: str | None = None
    ) -> None:
        """Note where a batch is; `finalize` alone makes it final.

        Args:
            seq: Which batch.
            state: Any but FINALIZED.
            now_ms: Unix time: when its bytes were first sent, for SENT.
            trouble: Why, kept with the last attempt.
        """
        assert state is not BatchState.FINALIZED
        attempts = schema.attempts.c
        last = select(func.max(attempts.number)).where(attempts.seq == seq).scalar_subquery()
        changed: dict[str, Any] = {"trouble": trouble}
        if state is BatchState.SENT:
            changed["sent_ms"] = func.coalesce(attempts.sent_ms, now_ms)
        with self._writing() as connection:
            _set_state(connection, seq, state)
            connection.execute(
                update(schema.attempts)
                .where(attempts.seq == seq, attempts.number == last)
                .values(**changed)
            )

    def retry(self, seq: int) -> BatchRecord:
        """Let a rejected batch be signed and sent again, after a person mended the cause.

        Raises:
            UnknownNameError: If there is no such batch.
            InvalidValueError: If it is not rejected: others must not be signed twice.
        """
        with self._writing() as connection:
            record = _batch(connection, seq)
            if record.state is not BatchState.REJECTED:
                raise InvalidValueError(
                    f"batch {seq} is {record.state.value}; only a rejected one is tried again"
                )
            _set_state(connection, seq, BatchState.SEALED)
        return self.batch(seq)

    def finalize(self, outcome: BatchOutcome, now_ms: int) -> BatchRecord:
        """Close a batch as finalized state says, and post what it settled; once.

        In one transaction: the outcome, its refusals, each entry's settled count, the ledger.

        Raises:
            LedgerImbalanceError: If what is final is not what the book sealed.
            UnknownNameError: If there is no such batch.
        """
        with self._writing() as connection:
            record = _batch(connection, outcome.seq)
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
        return self.batch(outcome.seq)

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

    def _batches(self, query: Select[Any]) -> list[BatchRecord]:
        with self._reading() as connection:
            return [_record(row) for row in connection.execute(query)]


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
    """Move the settled counts of entries on; return from where to where each went."""
    entries, streams, prices = schema.entries.c, schema.streams.c, schema.prices.c
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
    out, moved = [], []
    for entry in taken:
        row = known[entry.key]
        if entry.cumulative <= row.settled:
            continue  # cumulative: an entry at or below what is settled changes nothing
        out.append(
            Settled(
                entry.key,
                row.settled,
                entry.cumulative,
                row.planck_per_tick,
                row.platform_fee_ppm,
                row.creator,
            )
        )
        still_refused = 0 if entry.cumulative >= row.refused else row.refused
        moved.append(
            {**key_binds(entry.key), "to_settled": entry.cumulative, "to_refused": still_refused}
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
    connection.execute(
        insert(schema.refusals),
        [
            {
                "seq": seq,
                "position": position,
                **key_values(carried[position].key),
                "cumulative": carried[position].cumulative,
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
            {**key_binds(carried[position].key), "at": carried[position].cumulative}
            for position in sorted(reasons)
        ],
    )


def _set_state(connection: Connection, seq: int, state: BatchState) -> None:
    batches = schema.batches.c
    connection.execute(
        update(schema.batches)
        .where(batches.seq == seq, batches.state != BatchState.FINALIZED.value)
        .values(state=state.value)
    )


def _batch(connection: Connection, seq: int) -> BatchRecord:
    row = connection.execute(
        select(schema.batches).where(schema.batches.c.seq == seq)
    ).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no batch {seq}")
    return _record(row)


def _record(row: Row[Any]) -> BatchRecord:
    return BatchRecord(
        row.seq,
        row.hash,
        row.entries,
        row.entry_count,
        BatchState(row.state),
        row.sealed_ms,
        row.finalized_ms,
        row.finalized_at,
    )
