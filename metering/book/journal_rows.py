"""The table under chain/journal.py, the chain port's local back end: append-only, hash-chained."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

from sqlalchemy import func, insert, select

from metering.book import schema
from metering.book.rows import Repository

FIRST_PREVIOUS = bytes(32)


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One record of the journal.

    Attributes:
        number: From 1, no gaps.
        seq: The batch it holds.
        signed: The bytes that were submitted.
        at_ms: When they came.
        final_ms: From when on it is final.
        previous: Hash of the record before it; 32 zeros for the first.
        hash: blake2b-256 of ``number u64, seq u64, at_ms u64, final_ms u64, previous, signed``.
    """

    number: int
    seq: int
    signed: bytes = field(repr=False)
    at_ms: int
    final_ms: int
    previous: bytes
    hash: bytes


def record_hash(record: JournalRecord) -> bytes:
    """Return the hash that a record must have."""
    head = struct.pack("<QQQQ", record.number, record.seq, record.at_ms, record.final_ms)
    content = head + record.previous + record.signed
    return hashlib.blake2b(content, digest_size=32).digest()


class JournalRepository(Repository):
    """The part of the book under the journal."""

    def append(self, seq: int, signed: bytes, at_ms: int, final_ms: int) -> int:
        """Append a record when `seq` is the next; return the newest sequence number afterwards.

        A `seq` that exists already, or leaves a gap, appends nothing: compare the answer.
        """
        journal = schema.journal.c
        with self._writing() as connection:
            last = connection.execute(
                select(journal.number, journal.seq, journal.hash)
                .order_by(journal.number.desc())
                .limit(1)
            ).one_or_none()
            number, newest, previous = last or (0, 0, FIRST_PREVIOUS)
            if seq != newest + 1:
                return int(newest)
            draft = JournalRecord(number + 1, seq, signed, at_ms, final_ms, previous, b"")
            connection.execute(
                insert(schema.journal).values(
                    number=draft.number,
                    seq=seq,
                    signed=signed,
                    at_ms=at_ms,
                    final_ms=final_ms,
                    previous=previous,
                    hash=record_hash(draft),
                )
            )
        return seq

    def get(self, seq: int) -> JournalRecord | None:
        """Return the record of a batch, None when there is none."""
        with self._reading() as connection:
            row = connection.execute(
                select(schema.journal).where(schema.journal.c.seq == seq)
            ).one_or_none()
        return None if row is None else JournalRecord(*row)

    def page(self, after: int, limit: int) -> list[JournalRecord]:
        """Return up to `limit` records after a number, oldest first."""
        journal = schema.journal.c
        with self._reading() as connection:
            return [
                JournalRecord(*row)
                for row in connection.execute(
                    select(schema.journal)
                    .where(journal.number > after)
                    .order_by(journal.number)
                    .limit(limit)
                )
            ]

    def last_final(self, now_ms: int) -> int:
        """Return the highest sequence number up to which every record is final."""
        journal = schema.journal.c
        with self._reading() as connection:
            waiting: int | None = connection.execute(
                select(func.min(journal.seq)).where(journal.final_ms > now_ms)
            ).scalar_one()
            newest: int | None = connection.execute(select(func.max(journal.seq))).scalar_one()
        return (newest or 0) if waiting is None else waiting - 1
