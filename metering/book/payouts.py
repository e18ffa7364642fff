"""What creators earned by state, and what was paid out of it: each payout is written once.

Source: docs/metering.md, "Earnings".
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import and_, insert, or_, select

from metering.book import schema
from metering.book.payout_schema import creator_payouts as _payouts
from metering.book.postings import post
from metering.book.records import StreamRecord
from metering.book.rows import Repository
from metering.errors import IdempotencyConflictError, InvalidValueError
from metering.model.earnings import Earnings, by_state, pending_share
from metering.model.ledger import NOBODY, Holder, Role, payout_postings
from metering.model.statement import Move
from metering.units import AccountId, Planck

PAYOUT_KIND = "payout"
"""Of its transfer."""


class PayoutRepository(Repository):
    """Reads what creators earned, and writes what was paid out."""

    def earnings(self, stream: StreamRecord, asked: Planck, matured_ms: int) -> Earnings:
        """Return what the creator of a stream earned with it, by state.

        Args:
            asked: Of payouts that are asked for and not paid yet.
            matured_ms: Before this, Unix ms, what was earned has matured.
        """
        entries, prices = schema.entries.c, schema.prices.c
        postings, transfers = schema.postings.c, schema.transfers.c
        open_entries = (
            select(entries.booked, entries.settled, entries.ahead, prices.planck_per_tick)
            .join_from(
                schema.entries,
                schema.prices,
                (entries.stream == prices.stream) & (entries.version == prices.number),
            )
            .where(entries.stream == stream.id, entries.booked > entries.settled)
        )
        moved = (
            select(transfers.at_ms, postings.planck)
            .join_from(schema.postings, schema.transfers, postings.transfer == transfers.id)
            .where(
                postings.role == Role.CREATOR.value,
                postings.account == stream.creator,
                postings.stream == stream.id,
            )
        )
        paid = select(_payouts.c.planck).where(
            _payouts.c.stream == stream.id, _payouts.c.account == stream.creator
        )
        with self._reading() as connection:
            # What a lost book's chain has settled beyond it is in the ledger already.
            pending = pending_share(
                (
                    (max(row.booked, moved_ticks), moved_ticks, row.planck_per_tick)
                    for row in connection.execute(open_entries)
                    for moved_ticks in (row.settled + row.ahead,)
                ),
                stream.platform_fee_ppm,
            )
            paid_out = Planck(sum(connection.execute(paid).scalars()))
            rows = ((row.at_ms, row.planck) for row in connection.execute(moved))
            return by_state(rows, pending, asked, paid_out, matured_ms)

    def moves(self, stream: StreamRecord, end_ms: int) -> list[Move]:
        """Return each posting of a stream to its creator and the platform, before a time."""
        postings, transfers = schema.postings.c, schema.transfers.c
        holders = ((Role.CREATOR, stream.creator), (Role.PLATFORM, NOBODY))
        is_own = (
            and_(
                postings.role == role.value,
                postings.account == account,
                postings.stream == stream.id,
            )
            for role, account in holders
        )
        query = (
            select(
                transfers.at_ms,
                transfers.kind,
                transfers.reference,
                postings.role,
                postings.planck,
            )
            .join_from(schema.postings, schema.transfers, postings.transfer == transfers.id)
            .where(or_(*is_own), transfers.at_ms < end_ms)
            .order_by(transfers.id, postings.position)
        )
        with self._reading() as connection:
            return [
                Move(
                    row.at_ms,
                    row.kind,
                    row.reference,
                    row.role == Role.PLATFORM.value,
                    row.planck,
                )
                for row in connection.execute(query)
            ]

    def add(self, reference: str, stream: StreamRecord, planck: Planck, now_ms: int) -> bool:
        """Book that money was paid out to the creator of a stream; False: it was booked before.

        It has left already, so it is booked whatever was earned: what is beyond that is a debt.

        Raises:
            InvalidValueError: The amount is 0 or below.
            IdempotencyConflictError: The reference was used for another payout.
        """
        if planck <= 0:
            raise InvalidValueError(f"a payout of {planck} planck: it must be above 0")
        content = (stream.creator, stream.id, planck)
        with self._writing() as connection:
            query = select(_payouts).where(_payouts.c.reference == reference)
            known = connection.execute(query).one_or_none()
            if known is not None:
                if (known.account, known.stream, known.planck) != content:
                    raise IdempotencyConflictError(
                        f"payout {reference!r} was booked before with another content"
                    )
                return False
            connection.execute(
                insert(_payouts).values(
                    reference=reference,
                    account=stream.creator,
                    stream=stream.id,
                    planck=planck,
                    created_ms=now_ms,
                )
            )
            lines = payout_postings(stream.creator, stream.id, planck)
            post(connection, PAYOUT_KIND, reference, now_ms, lines)
        return True

    def all(self) -> dict[str, tuple[Holder, Planck]]:
        """Return to whom each payout went, and how much, by its reference."""
        with self._reading() as connection:
            return {
                row.reference: (
                    Holder(Role.CREATOR, AccountId(row.account), row.stream),
                    row.planck,
                )
                for row in connection.execute(select(_payouts))
            }

    def by_holder(self) -> dict[Holder, Planck]:
        """Return what was paid out to each creator and stream."""
        sums: dict[Holder, int] = defaultdict(int)
        for holder, planck in self.all().values():
            sums[holder] += planck
        return {holder: Planck(planck) for holder, planck in sums.items()}
