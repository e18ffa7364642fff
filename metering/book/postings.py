"""Ledger postings as rows: what model/ledger.py computed, kept indefinitely."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Connection, insert, select

from metering.book import schema
from metering.book.rows import Repository
from metering.model.ledger import Holder, Posting, Role, balanced
from metering.units import AccountId, Planck


class LedgerRepository(Repository):
    """Reads and writes the ledger."""

    def balances(self) -> dict[Holder, Planck]:
        """Return the balance of every holder: they sum to nothing."""
        sums: dict[Holder, int] = {}
        postings = schema.postings.c
        with self._reading() as connection:
            for row in connection.execute(
                select(postings.role, postings.account, postings.stream, postings.planck)
            ):
                holder = Holder(Role(row.role), row.account, row.stream)
                sums[holder] = sums.get(holder, 0) + row.planck
        return {holder: Planck(planck) for holder, planck in sums.items()}

    def unbalanced(self) -> list[tuple[str, str, Planck]]:
        """Return kind, reference and sum of each transfer whose postings do not sum to nothing."""
        sums: dict[tuple[str, str], int] = {}
        transfers, postings = schema.transfers.c, schema.postings.c
        with self._reading() as connection:
            for row in connection.execute(
                select(transfers.kind, transfers.reference, postings.planck).join_from(
                    schema.transfers, schema.postings, postings.transfer == transfers.id
                )
            ):
                at = (row.kind, row.reference)
                sums[at] = sums.get(at, 0) + row.planck
        return [(*at, Planck(planck)) for at, planck in sums.items() if planck]

    def earned(self, creator: AccountId) -> dict[UUID, Planck]:
        """Return what a creator's streams earned and settled, by stream."""
        sums: dict[UUID, int] = {}
        postings = schema.postings.c
        with self._reading() as connection:
            for row in connection.execute(
                select(postings.stream, postings.planck).where(
                    postings.role == Role.CREATOR.value, postings.account == creator
                )
            ):
                sums[row.stream] = sums.get(row.stream, 0) + row.planck
        return {stream: Planck(planck) for stream, planck in sums.items()}


def post(
    connection: Connection, kind: str, reference: str, at_ms: int, lines: tuple[Posting, ...]
) -> None:
    """Write one transfer; a second of the same kind and reference is refused by the database.

    Raises:
        LedgerImbalanceError: If the postings do not sum to nothing.
    """
    balanced(lines)
    transfer = connection.execute(
        insert(schema.transfers)
        .values(kind=kind, reference=reference, at_ms=at_ms)
        .returning(schema.transfers.c.id)
    ).scalar_one()
    if lines:
        connection.execute(
            insert(schema.postings),
            [
                {
                    "transfer": transfer,
                    "position": position,
                    "role": line.holder.role.value,
                    "account": line.holder.account,
                    "stream": line.holder.stream,
                    "planck": line.planck,
                }
                for position, line in enumerate(lines)
            ],
        )
