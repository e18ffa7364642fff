"""What creators and payees earned by state, and payouts of it: each is written once.

Source: docs/metering.md, "Earnings".
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import ColumnElement, insert, or_, select, true

from metering.book import schema
from metering.book.payout_schema import creator_payouts as _payouts
from metering.book.postings import post
from metering.book.records import StreamRecord
from metering.book.rows import Repository
from metering.book.split_rows import version_shares
from metering.errors import IdempotencyConflictError, InvalidValueError
from metering.model.earnings import Earnings, OpenEntry, by_state, pending_share
from metering.model.ledger import Holder, Role, payout_postings
from metering.model.statement import Move, Part
from metering.units import AccountId, Planck

PAYOUT_KIND = "payout"
"""Of its transfer."""


class PayoutRepository(Repository):
    """Reads what creators earned, and writes what was paid out."""

    def earnings(
        self,
        stream: StreamRecord,
        asked: Planck,
        matured_ms: int,
        account: AccountId | None = None,
    ) -> Earnings:
        """Return what the creator of a stream, or a payee, earned with it, by state.

        Args:
            asked: Of payouts that they ask for and that are not paid yet.
            matured_ms: Before this, Unix ms, what was earned has matured.
            account: Whose; None: the creator's.
        """
        holder = Holder(Role.CREATOR, account or stream.creator, stream.id)
        entries, prices = schema.entries.c, schema.prices.c
        postings, transfers = schema.postings.c, schema.transfers.c
        open_entries = (
            select(
                *(entries.booked, entries.settled, entries.ahead, entries.version),
                prices.planck_per_tick,
            )
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
            .where(*_is_of(holder))
        )
        paid = select(_payouts.c.planck).where(
            _payouts.c.stream == stream.id, _payouts.c.account == holder.account
        )
        with self._reading() as connection:
            shares = version_shares(connection, [stream.id])
            # What a lost book's chain has settled beyond it is in the ledger already.
            waiting = [
                OpenEntry(
                    max(row.booked, row.settled + row.ahead),
                    row.settled + row.ahead,
                    row.planck_per_tick,
                    shares.get((stream.id, row.version), ()),
                )
                for row in connection.execute(open_entries)
            ]
            pending = pending_share(waiting, holder, stream.creator, stream.platform_fee_ppm)
            paid_out = Planck(sum(connection.execute(paid).scalars()))
            rows = ((row.at_ms, row.planck) for row in connection.execute(moved))
            return by_state(rows, pending, asked, paid_out, matured_ms)

    def moves(
        self, stream: StreamRecord, end_ms: int, account: AccountId | None = None
    ) -> list[Move]:
        """Return each posting of what a creator or payee had a part in, before a time.

        What was earned with them is there too: the platform's part, and other payees'.

        Args:
            account: Whose; None: the creator's.
        """
        holder = Holder(Role.CREATOR, account or stream.creator, stream.id)
        postings, transfers = schema.postings.c, schema.transfers.c
        theirs = select(postings.transfer).where(*_is_of(holder))
        query = (
            select(
                *(transfers.at_ms, transfers.kind, transfers.reference),
                *(postings.role, postings.account, postings.planck),
            )
            .join_from(schema.postings, schema.transfers, postings.transfer == transfers.id)
            .where(
                postings.role.in_((Role.CREATOR.value, Role.PLATFORM.value)),
                postings.stream == stream.id,
                transfers.at_ms < end_ms,
                transfers.id.in_(theirs) if holder.account != stream.creator else true(),
                or_(transfers.kind != PAYOUT_KIND, postings.account == holder.account),
            )
            .order_by(transfers.id, postings.position)
        )
        with self._reading() as connection:
            return [
                Move(
                    *(row.at_ms, row.kind, row.reference),
                    _part_of(holder, row.role, row.account),
                    row.planck,
                )
                for row in connection.execute(query)
            ]

    def add(
        self,
        reference: str,
        stream: StreamRecord,
        planck: Planck,
        now_ms: int,
        account: AccountId | None = None,
    ) -> bool:
        """Book that money was paid out of a stream's earnings; False: it was booked before.

        It has left already, so it is booked whatever was earned: what is beyond that is a debt.

        Args:
            account: Who was paid; None: the creator.

        Raises:
            InvalidValueError: The amount is 0 or below.
            IdempotencyConflictError: The reference was used for another payout.
        """
        if planck <= 0:
            raise InvalidValueError(f"a payout of {planck} planck: it must be above 0")
        whose = account or stream.creator
        content = (whose, stream.id, planck)
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
                    account=whose,
                    stream=stream.id,
                    planck=planck,
                    created_ms=now_ms,
                )
            )
            lines = payout_postings(whose, stream.id, planck)
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


def _is_of(holder: Holder) -> tuple[ColumnElement[bool], ...]:
    postings = schema.postings.c
    return (
        postings.role == holder.role.value,
        postings.account == holder.account,
        postings.stream == holder.stream,
    )


def _part_of(holder: Holder, role: str, account: bytes) -> Part:
    if role == Role.PLATFORM.value:
        return Part.FEE
    return Part.OWN if account == holder.account else Part.OTHERS
