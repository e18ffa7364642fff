"""A book that the chain is ahead of: it was restored, and batches had settled since its backup.

The chain's counts are cumulative, and so are the book's, of the same seconds in the same order. So
of an entry the chain has 150 ticks of, and this book 120: those 120 are settled, whatever the
book had of them, and 30 more were billed by the book that was lost. Which seconds they were
is not known any more, so no receipt and no cut here has them: they are kept as a count, `ahead`.
What is watched from now on comes on top, so the chain moves it, and neither second is billed twice.

The chain has moved what those 30 cost, so the ledger moves it too, with the same rounding: the
transfer `adopted`. The balance is then what the escrow holds, and what is gone cannot be spent.

An entry that began after the backup is not in this book. Its join is (it came from the chain's
events), so it is asked for too, and made with nothing booked.

Source: docs/metering.md, "After the book was restored".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from metering.book import escrow_schema, schema
from metering.book.outbox import passed_seq, require_token, set_passed_seq
from metering.book.postings import post
from metering.book.rows import Repository, is_key, key_binds, key_of, key_values
from metering.book.split_rows import version_shares
from metering.errors import InvalidValueError
from metering.model.batch_state import BatchState
from metering.model.ledger import Settled, cost, settlement_postings
from metering.units import AccountId, EntryKey, Planck, shard_of


@dataclass(frozen=True, slots=True)
class Adopted:
    """What was taken over.

    Attributes:
        batches: Open batches whose numbers the chain had given to others; their entries are sealed
            again.
        settled_ticks: Ticks of this book that turned out to be settled.
        lost_ticks: Ticks settled by the lost book that this one does not have.
        planck: What moved on the chain and now in the ledger.
    """

    batches: int
    settled_ticks: int
    lost_ticks: int
    planck: Planck


@dataclass(frozen=True, slots=True)
class _Change:
    """What becomes of an entry: its money moves as `moved` says."""

    moved: Settled
    settled_before: int
    settled: int
    ahead: int
    is_new: bool


class AdoptionRepository(Repository):
    """Reads and writes a chain that is ahead of it."""

    def lost_ticks(self) -> int:
        """Return how many ticks the chain settled for a book that was lost."""
        entries = schema.entries.c
        query = select(entries.ahead).where(entries.ahead > 0)
        with self._reading() as connection:
            return sum(connection.execute(query).scalars())

    def passed_seq(self) -> int:
        """Return up to which number the chain had taken batches of a lost book, 0 when none."""
        with self._reading() as connection:
            return passed_seq(connection)

    def accounts(self) -> list[AccountId]:
        """Return the accounts that paid on the chain for ticks of a book that was lost."""
        entries = schema.entries.c
        query = select(entries.account).where(entries.ahead > 0).distinct()
        with self._reading() as connection:
            return list(connection.execute(query).scalars())

    def candidates(self) -> list[EntryKey]:
        """Return every entry that the chain may know: of this book, and of joins it has none of."""
        joins, prices = escrow_schema.joins.c, schema.prices.c
        query = select(
            joins.stream, joins.account, joins.number, prices.number.label("version")
        ).join_from(escrow_schema.joins, schema.prices, prices.stream == joins.stream)
        with self._reading() as connection:
            keys = {key_of(row) for row in connection.execute(select(schema.entries))}
            keys |= {
                EntryKey(row.stream, row.account, row.number, row.version)
                for row in connection.execute(query)
            }
        return sorted(keys, key=lambda key: (key.stream.int, key.account, key.join, key.version))

    def adopt(
        self, on_chain: Mapping[EntryKey, int], last_seq: int, now_ms: int, token: int = 0
    ) -> Adopted:
        """Take over what the chain has settled, and give up the numbers that it has passed.

        Args:
            on_chain: The chain's cumulative ticks, all read at one finalized block.
            token: Fencing token of the submitter (outbox.py).

        Raises:
            InvalidValueError: If bytes of a batch above `last_seq` may still take effect: wait.
            SubmitterLostError: If a later submitter has taken over.
        """
        batches, cuts, attempts = schema.batches.c, schema.cuts.c, schema.attempts.c
        with self._writing() as connection:
            require_token(connection, token)

            # Batches that are not final give their cuts back. None of them may still take effect,
            # else what it settles would be counted twice.
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

            # Move the settled counts to the chain's, post the difference, and make the entries that
            # only the chain knows.
            changes = self._settled_by(connection, on_chain)
            if postings := settlement_postings(change.moved for change in changes):
                post(connection, "adopted", f"{last_seq} at {now_ms}", now_ms, postings)
            if begun := [change.moved.key for change in changes if change.is_new]:
                nothing = {"booked": 0, "settled": 0, "refused": 0}
                connection.execute(
                    insert(schema.entries),
                    [
                        {**key_values(key), "shard": shard_of(key.account), **nothing}
                        for key in begun
                    ],
                )
            if changes:
                connection.execute(
                    update(schema.entries)
                    .where(*is_key(schema.entries))
                    .values(settled=bindparam("to_settled"), ahead=bindparam("to_ahead")),
                    [
                        {
                            **key_binds(change.moved.key),
                            "to_settled": change.settled,
                            "to_ahead": change.ahead,
                        }
                        for change in changes
                    ],
                )

            # The cuts of the open batches are free for new ones, numbered after the chain's last.
            numbers = [seq for seq, _ in open_batches]
            connection.execute(
                update(schema.cuts).where(cuts.batch_seq.in_(numbers)).values(batch_seq=None)
            )
            connection.execute(delete(schema.attempts).where(attempts.seq.in_(numbers)))
            connection.execute(delete(schema.batches).where(batches.seq.in_(numbers)))
            set_passed_seq(connection, last_seq)
        return Adopted(
            len(numbers),
            sum(change.settled - change.settled_before for change in changes),
            sum(change.ahead for change in changes),
            Planck(
                sum(
                    cost(change.moved.after - change.moved.before, change.moved.planck_per_tick)
                    for change in changes
                )
            ),
        )

    def _settled_by(
        self, connection: Connection, on_chain: Mapping[EntryKey, int]
    ) -> list[_Change]:
        """Return each entry that the chain is ahead of; one of an unknown price is passed over."""
        prices, streams = schema.prices.c, schema.streams.c
        query = select(
            prices.stream,
            prices.number,
            prices.planck_per_tick,
            streams.platform_fee_ppm,
            streams.creator,
        ).join_from(schema.prices, schema.streams, streams.id == prices.stream)
        terms = {(row.stream, row.number): row for row in connection.execute(query)}
        rows = {key_of(row): row for row in connection.execute(select(schema.entries))}
        shares = version_shares(connection)
        changes = []
        for key, count in on_chain.items():
            row, term = rows.get(key), terms.get((key.stream, key.version))
            booked, settled, ahead = (row.booked, row.settled, row.ahead) if row else (0, 0, 0)
            if term is None or count <= settled + ahead:
                continue
            after = max(settled, min(booked, count))
            moved = Settled(
                key,
                settled + ahead,
                count,
                term.planck_per_tick,
                term.platform_fee_ppm,
                term.creator,
                shares.get((key.stream, key.version), ()),
            )
            changes.append(_Change(moved, settled, after, count - after, row is None))
        return changes
