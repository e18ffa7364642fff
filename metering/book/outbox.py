"""The outbox: batches that are not final, their signed attempts, and the right to write here.

One submitter at a time: each write names the fencing token of its lease
(metering/settlement/submitter_lease.py), and the newest token that the book has seen wins. A
settler that was stopped for a minute and wakes up with an old token writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from metering.book import schema
from metering.book.meta import meta_int, put_meta
from metering.book.records import Attempt, BatchRecord
from metering.book.rows import Repository
from metering.errors import InvalidValueError, SubmitterLostError, UnknownNameError
from metering.model import batch
from metering.model.batch import Batch
from metering.model.batch_state import BatchState
from metering.model.entries import decode

_FENCE: Final = "submitter_token"
_PASSED: Final = "passed_seq"
_STOPPED: Final = (BatchState.REJECTED, BatchState.CONFLICT)
"""The settler does nothing more for these until an operator has them tried again."""


class OutboxRepository(Repository):
    """Reads and writes batches on their way."""

    def oldest(self) -> BatchRecord | None:
        """Return the oldest batch that is not final."""
        return next(iter(self.open(1)), None)

    def open(self, limit: int) -> list[BatchRecord]:
        """Return the oldest batches that are not final, oldest first."""
        batches = schema.batches.c
        query = (
            select(schema.batches)
            .where(batches.state != BatchState.FINALIZED.value)
            .order_by(batches.seq)
            .limit(limit)
        )
        with self._reading() as connection:
            return [record_of(row) for row in connection.execute(query)]

    def last_final_seq(self) -> int:
        """Return the number of the newest batch that is final, 0 before the first."""
        batches = schema.batches.c
        with self._reading() as connection:
            newest: int | None = connection.execute(
                select(func.max(batches.seq)).where(batches.state == BatchState.FINALIZED.value)
            ).scalar_one()
        return newest or 0

    def last_seq(self) -> int:
        """Return the highest number that a batch of this book has, or that the chain had passed."""
        with self._reading() as connection:
            return last_seq(connection)

    def submitter_token(self) -> int:
        """Return the newest fencing token that the book has seen, 0 before the first."""
        with self._reading() as connection:
            return meta_int(connection, _FENCE)

    def fence(self, token: int) -> None:
        """Take over as the submitter: from now on no older token writes to the outbox.

        Raises:
            SubmitterLostError: If a later submitter has taken over.
        """
        with self._writing() as connection:
            require_token(connection, token)

    def add_attempt(self, seq: int, signed: bytes, now_ms: int, token: int = 0) -> Attempt:
        """Keep signed bytes, before they are sent; the batch is *signed* from now on.

        Raises:
            SubmitterLostError: If a later submitter has taken over.
        """
        with self._writing() as connection:
            require_token(connection, token)
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
        return self.attempts_of((seq,))

    def attempts_of(self, seqs: Collection[int]) -> list[Attempt]:
        """Return the attempts of some batches, by batch and oldest first."""
        attempts = schema.attempts.c
        query = (
            select(schema.attempts)
            .where(attempts.seq.in_(seqs))
            .order_by(attempts.seq, attempts.number)
        )
        with self._reading() as connection:
            return [
                Attempt(row.seq, row.number, row.signed, row.signed_ms, row.sent_ms, row.trouble)
                for row in connection.execute(query)
            ]

    def set_state(
        self,
        seq: int,
        state: BatchState,
        now_ms: int,
        reason: str | None = None,
        token: int = 0,
    ) -> None:
        """Note where a batch is; `finalize` alone makes it final.

        Args:
            state: Any but FINALIZED.
            now_ms: Unix time: when its bytes were first sent, for SENT.
            reason: Why, kept with the last attempt.
            token: Fencing token of the submitter.

        Raises:
            SubmitterLostError: If a later submitter has taken over.
        """
        assert state is not BatchState.FINALIZED
        attempts = schema.attempts.c
        last = select(func.max(attempts.number)).where(attempts.seq == seq).scalar_subquery()
        changed: dict[str, Any] = {"trouble": reason}
        if state is BatchState.SENT:
            changed["sent_ms"] = func.coalesce(attempts.sent_ms, now_ms)
        with self._writing() as connection:
            require_token(connection, token)
            _set_state(connection, seq, state)
            connection.execute(
                update(schema.attempts)
                .where(attempts.seq == seq, attempts.number == last)
                .values(**changed)
            )

    def retry(self, seq: int) -> BatchRecord:
        """Let a stopped batch be signed and sent again, after an operator removed the cause.

        Its attempts stay, each with its reason. Nothing can be settled twice: the settler reads
        finalized state before it signs, and a chain that still holds other content under this
        number makes it *conflict* again.

        Returns:
            The batch as it was before: *rejected* or *conflict*.

        Raises:
            UnknownNameError: If there is no such batch.
            InvalidValueError: If it is in another state: its bytes may still take effect.
        """
        with self._writing() as connection:
            record = batch_of(connection, seq)
            if record.state not in _STOPPED:
                raise InvalidValueError(
                    f"batch {seq} is {record.state.value}; only a rejected or conflict batch is "
                    "tried again"
                )
            _set_state(connection, seq, BatchState.SEALED)
            return record

    def split(
        self, from_seq: int, entries_max: int, now_ms: int, token: int = 0
    ) -> list[BatchRecord]:
        """Seal the entries of all open batches from a number on again, in smaller batches.

        Only where nothing is signed that may still take effect: each of them is *sealed*.

        Args:
            from_seq: The first of them: it was too large for the chain.
            entries_max: Bound of one batch.
            token: Fencing token of the submitter.

        Raises:
            InvalidValueError: If one of them is signed: wait until it is dead.
            SubmitterLostError: If a later submitter has taken over.
        """
        batches, cuts = schema.batches.c, schema.cuts.c
        with self._writing() as connection:
            require_token(connection, token)

            # Every batch from the first on. None may be signed: signatures cover the entries.
            old = [
                record_of(row)
                for row in connection.execute(
                    select(schema.batches).where(batches.seq >= from_seq).order_by(batches.seq)
                )
            ]
            for record in old:
                if record.state is not BatchState.SEALED:
                    raise InvalidValueError(
                        f"batch {record.seq} is {record.state.value}; only sealed ones are split"
                    )

            # Their entries in smaller batches: the same numbers, and as many new ones as needed.
            lines = [
                (entry.key, entry.cumulative) for record in old for entry in decode(record.entries)
            ]
            new = batch.seal(lines, from_seq, entries_max)
            known = {record.seq for record in old}
            for made in new:
                if made.seq in known:
                    connection.execute(
                        update(schema.batches)
                        .where(batches.seq == made.seq)
                        .values(
                            hash=made.hash,
                            entries=made.entries,
                            entry_count=made.count,
                            sealed_ms=now_ms,
                        )
                    )
            insert_batches(connection, [made for made in new if made.seq not in known], now_ms)
            # Fewer are left when several small ones were merged: their numbers were never used.
            last = new[-1].seq
            connection.execute(
                update(schema.cuts)
                .where(~cuts.is_forgotten, cuts.batch_seq >= from_seq)
                .values(batch_seq=last)
            )
            gone = [seq for seq in known if seq > last]
            connection.execute(schema.attempts.delete().where(schema.attempts.c.seq.in_(gone)))
            connection.execute(schema.batches.delete().where(batches.seq.in_(gone)))
            return [batch_of(connection, made.seq) for made in new]


def passed_seq(connection: Connection) -> int:
    """Return the sequence number that the chain had passed when the book was found behind it."""
    return meta_int(connection, _PASSED)


def last_seq(connection: Connection) -> int:
    """Return the highest number that is given: the next batch is numbered above."""
    newest = connection.execute(select(func.max(schema.batches.c.seq))).scalar_one() or 0
    return max(newest, passed_seq(connection))


def set_passed_seq(connection: Connection, seq: int) -> None:
    """Remember it: the next batch is numbered above."""
    put_meta(connection, _PASSED, str(seq))


def require_token(connection: Connection, token: int) -> None:
    """Require that no later submitter has written; remember `token` when it is the newest.

    Raises:
        SubmitterLostError: If one has.
    """
    newest = meta_int(connection, _FENCE)
    if token < newest:
        raise SubmitterLostError(
            f"another settler holds this operator's key: its token is {newest}, ours is {token}"
        )
    if token > newest:
        put_meta(connection, _FENCE, str(token))


def insert_batches(connection: Connection, sealed: Iterable[Batch], now_ms: int) -> None:
    """Write new batches down as sealed."""
    rows = [
        {
            "seq": made.seq,
            "hash": made.hash,
            "entries": made.entries,
            "entry_count": made.count,
            "state": BatchState.SEALED.value,
            "sealed_ms": now_ms,
        }
        for made in sealed
    ]
    if rows:
        connection.execute(insert(schema.batches), rows)


def batch_of(connection: Connection, seq: int) -> BatchRecord:
    """Return a batch.

    Raises:
        UnknownNameError: If there is none of this number.
    """
    row = connection.execute(
        select(schema.batches).where(schema.batches.c.seq == seq)
    ).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no batch {seq}")
    return record_of(row)


def record_of(row: Row[Any]) -> BatchRecord:
    """Return a row of the batches."""
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


def _set_state(connection: Connection, seq: int, state: BatchState) -> None:
    batches = schema.batches.c
    connection.execute(
        update(schema.batches)
        .where(batches.seq == seq, batches.state != BatchState.FINALIZED.value)
        .values(state=state.value)
    )
