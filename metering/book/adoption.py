"""A book that the chain is ahead of: it was restored, and batches had settled since its backup.

The chain's counts are cumulative, and so are the book's, of the same seconds in the same order. So
of an entry the chain has 150 ticks of, and this book 120: those 120 are settled, whatever the
book thought of them, and 30 more were billed by the book that was lost. They are counted as lost
(nobody here is billed for them), and kept as `ahead`: what is watched from now on comes on top, so
the chain moves it, and neither second is billed twice.

Source: docs/metering.md, "After the book was restored".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select, update

from metering.book import schema
from metering.book.outbox import require_token, set_passed_seq
from metering.book.postings import post
from metering.book.rows import Rows, is_key, key_binds, key_of
from metering.errors import InvalidValueError
from metering.ledger import Settled, settlement_postings
from metering.settlement import BatchState
from metering.units import EntryKey


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was taken over.

    Attributes:
        batches: Open batches whose numbers the chain had given to others; their entries are sealed
            again.
        settled_ticks: Ticks of this book that turned out to be settled.
        lost_ticks: Ticks settled by the lost book that this one does not have.
    """

    batches: int
    settled_ticks: int
    lost_ticks: int


class AdoptionRows(Rows):
    """The part of the book about a chain that is ahead of it."""

    def lost_on_chain(self) -> int:
        """Return how many ticks the chain settled for a book that was lost."""
        entries = schema.entries.c
        query = select(entries.ahead).where(entries.ahead > 0)
        with self._reading() as connection:
            return sum(connection.execute(query).scalars())

    def adopt(
        self, on_chain: Mapping[EntryKey, int], last_seq: int, now_ms: int, token: int = 0
    ) -> Adopted:
        """Take over what the chain has settled, and give up the numbers that it has passed.

        Args:
            on_chain: The chain's cumulative ticks, all read at one finalized block.
            last_seq: Its last sequence number there.
            now_ms: Unix time.
            token: Of the submitter's lease.

        Raises:
            InvalidValueError: If bytes of a batch above `last_seq` may still take effect: wait.
            SubmitterLostError: If a later submitter has taken over.
        """
        batches, cuts, attempts = schema.batches.c, schema.cuts.c, schema.attempts.c
        with self._writing() as connection:
            require_token(connection, token)
            open_batches = connection.execute(
                select(batches.seq, batches.state).where(
                    batches.state != BatchState.FINALIZED.value
                )
            ).all()
            for seq, state in open_batches:
                if seq > last_seq and state != BatchState.SEALED.value:
                    raise InvalidValueError(
                        f"batch {seq} is {state} and above {last_seq}, the chain's last"
                    )
            found = self._settled_by(connection, on_chain)
            moved = [one for one, _ in found]
            if postings := settlement_postings(moved):
                post(connection, "adopted", f"{last_seq} at {now_ms}", now_ms, postings)
            if found:
                connection.execute(
                    update(schema.entries)
                    .where(*is_key(schema.entries))
                    .values(settled=bindparam("to_settled"), ahead=bindparam("to_ahead")),
                    [
                        {**key_binds(one.key), "to_settled": one.after, "to_ahead": ahead}
                        for one, ahead in found
                    ],
                )
            numbers = [seq for seq, _ in open_batches]
            connection.execute(
                update(schema.cuts).where(cuts.batch_seq.in_(numbers)).values(batch_seq=None)
            )
            connection.execute(delete(schema.attempts).where(attempts.seq.in_(numbers)))
            connection.execute(delete(schema.batches).where(batches.seq.in_(numbers)))
            set_passed_seq(connection, last_seq)
        return Adopted(
            len(numbers),
            sum(one.after - one.before for one, _ in found),
            sum(ahead for _, ahead in found),
        )

    def _settled_by(
        self, connection: Connection, on_chain: Mapping[EntryKey, int]
    ) -> list[tuple[Settled, int]]:
        """Return each entry that the chain is ahead of, and by how much beyond what is booked."""
        entries, prices, streams = schema.entries.c, schema.prices.c, schema.streams.c
        query = (
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
        )
        found = []
        for row in connection.execute(query):
            key = key_of(row)
            count = on_chain.get(key, 0)
            if count > row.settled + row.ahead:
                settled = Settled(
                    key,
                    row.settled,
                    max(row.settled, min(row.booked, count)),
                    row.planck_per_tick,
                    row.platform_fee_ppm,
                    row.creator,
                )
                found.append((settled, count - settled.after))
        return found
