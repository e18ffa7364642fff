"""What passes cost, and who bought them: each is posted once.

A purchase has two rows' worth of life: it is *asked* before the store takes its price, and *paid*,
with its postings, after. What ends the server between them is settled by what the store has.

Source: docs/metering.md, "Passes".
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update

from metering.book import schema
from metering.book.covered_schema import counted_shows, covered
from metering.book.pass_schema import pass_offers as _offers
from metering.book.pass_schema import passes as _passes
from metering.book.postings import post
from metering.book.records import StreamRecord
from metering.book.rows import Repository, chunks
from metering.book.split_rows import tables_of
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model.ledger import Shares
from metering.model.passes import (
    Pass,
    PassKind,
    PassOffer,
    may_cover,
    new_pass_run,
    postings_of,
    refund_postings,
)
from metering.model.price import UNITS_MAX
from metering.model.splits import table_at
from metering.units import AccountId, Planck, account_text, shard_of

PASS_KIND: Final = "pass"  # noqa: S105 -- no password: a kind of transfer
REFUND_KIND: Final = "pass_refund"
"""Of their transfers; the reference is the pass's id."""
_KEY_MAX: Final = 200


class PassRepository(Repository):
    """Reads and writes passes."""

    def offer(self, stream: UUID, kind: PassKind, planck: Planck, from_s: int) -> PassOffer:
        """Return what a pass costs from a time on; a later change gives way to it.

        Args:
            planck: 0: no longer sold.

        Raises:
            InvalidValueError: It is not a whole, bounded number of units.
        """
        self._require_units(planck, "price of a pass", UNITS_MAX)
        offers = _offers.c
        with self._writing() as connection:
            connection.execute(
                delete(_offers).where(
                    offers.stream == stream, offers.kind == kind.value, offers.from_s >= from_s
                )
            )
            connection.execute(
                insert(_offers).values(stream=stream, kind=kind.value, from_s=from_s, planck=planck)
            )
        return PassOffer(kind, from_s, planck)

    def offers(self, stream: UUID) -> tuple[PassOffer, ...]:
        """Return every offer of a stream, by kind, oldest first."""
        query = select(_offers).where(_offers.c.stream == stream)
        with self._reading() as connection:
            rows = connection.execute(query.order_by(_offers.c.kind, _offers.c.from_s)).all()
        return tuple(PassOffer(PassKind(row.kind), row.from_s, row.planck) for row in rows)

    def ask(
        self,
        account: AccountId,
        stream: StreamRecord,
        offer: PassOffer,
        *,
        show: int,
        idempotency_key: str,
        now_ms: int,
    ) -> Pass:
        """Write down a pass before its price is taken; the same key gives the same one again.

        Args:
            show: The one on air; 0 for none.

        Raises:
            UnknownNameError: There is no such viewer.
            IdempotencyConflictError: The key was used for another pass, another price, or an
                earlier show than the one on air.
        """
        if not 0 < len(idempotency_key) <= _KEY_MAX:
            raise InvalidValueError(f"an idempotency key has 1 to {_KEY_MAX} letters")
        is_show = offer.kind is PassKind.SHOW
        first, until = new_pass_run(offer.kind, now_ms // 1000, show)
        viewers = schema.viewers.c
        with self._writing() as connection:
            known = _known(connection, account, idempotency_key)
            if known is not None:
                wanted = (stream.id, offer.kind, offer.planck)
                if (known.stream, known.kind, known.planck) != wanted:
                    raise IdempotencyConflictError(
                        f"idempotency key {idempotency_key!r} was used for another pass; use a new "
                        "key for a new one"
                    )
                if is_show and show not in (0, known.show):
                    raise IdempotencyConflictError(
                        f"idempotency key {idempotency_key!r} bought the pass for an earlier show; "
                        "use a new key for this one"
                    )
                return known
            is_viewer = select(viewers.account).where(viewers.account == account)
            if connection.execute(is_viewer).one_or_none() is None:
                raise UnknownNameError(f"there is no viewer {account_text(account)}")
            tables = tables_of(connection, [stream.id]).get(stream.id, ())
            table = table_at(tables, now_ms // 1000)
            made = Pass(
                secrets.token_hex(16),
                account,
                stream.id,
                offer.kind,
                show if is_show else 0,
                first,
                until,
                offer.planck,
                stream.platform_fee_ppm,
                stream.creator,
                now_ms,
                is_paid=False,
                split=table.number,
                shares=table.shares,
            )
            connection.execute(
                insert(_passes).values(
                    id=made.id,
                    idempotency_key=idempotency_key,
                    account=account,
                    shard=shard_of(account),
                    stream=made.stream,
                    kind=made.kind.value,
                    show=made.show,
                    from_tick=first,
                    until_tick=until,
                    planck=made.planck,
                    platform_fee_ppm=made.platform_fee_ppm,
                    creator=made.creator,
                    created_ms=now_ms,
                    is_paid=False,
                    split=made.split,
                )
            )
        return made

    def pay(self, identity: str, now_ms: int) -> Pass:
        """Post a pass whose price the store has taken; once, however often it is said.

        Raises:
            UnknownNameError: There is no such pass.
        """
        with self._writing() as connection:
            found = _one(connection, identity)
            if found.is_paid:
                return found
            connection.execute(update(_passes).where(_passes.c.id == identity).values(is_paid=True))
            post(connection, PASS_KIND, identity, now_ms, postings_of(found))
        return replace(found, is_paid=True)

    def drop(self, identity: str) -> None:
        """Forget a pass that was asked for, and that the store has not."""
        c = _passes.c
        with self._writing() as connection:
            connection.execute(delete(_passes).where(c.id == identity, c.is_paid.is_(False)))

    def refund(self, identity: str, why: str, now_ms: int) -> tuple[Pass, bool]:
        """Give the whole price back, from who had it; it covers nothing from then on.

        Returns:
            The pass, and whether it was refunded by this.

        Raises:
            UnknownNameError: There is no such pass.
        """
        with self._writing() as connection:
            found = _one(connection, identity)
            if not found.is_paid:
                raise UnknownNameError(f"there is no pass {identity[:80]!r}")
            if found.refunded_ms is not None:
                return found, False
            connection.execute(
                update(_passes).where(_passes.c.id == identity).values(refunded_ms=now_ms, why=why)
            )
            post(connection, REFUND_KIND, identity, now_ms, refund_postings(found))
        return replace(found, refunded_ms=now_ms), True

    def known(self, account: AccountId, idempotency_key: str) -> Pass | None:
        """Return the pass that an account asked for by a key, None when there is none."""
        with self._reading() as connection:
            return _known(connection, account, idempotency_key)

    def get(self, identity: str) -> Pass:
        """Return a pass.

        Raises:
            UnknownNameError: There is none.
        """
        with self._reading() as connection:
            return _one(connection, identity)

    def asked(self) -> list[Pass]:
        """Return those whose price the store may or may not have taken."""
        return self._where(_passes.c.is_paid.is_(False))

    def of_account(self, account: AccountId) -> list[Pass]:
        """Return all of an account, refunded and asked ones too, oldest first."""
        return self._where(_passes.c.account == account)

    def that_may_cover(self, account: AccountId, oldest: int) -> list[Pass]:
        """Return those of an account by which a second from `oldest` on may be covered."""
        held = self.of_account(account)
        return may_cover(held, oldest, self.last_shows(held, oldest))

    def last_shows(self, passes: Iterable[Pass], oldest: int) -> Mapping[UUID, int]:
        """Return the newest show that began up to `oldest` of streams with passes for a show.

        It is one of which a second was covered, or whose cost is counted: one that nobody had
        anything of makes no older one over.
        """
        streams, found = schema.streams.c, dict[UUID, int]()
        # One look at the end of an index for each stream, however much of it was covered.
        newest = [
            select(func.max(table.c.show))
            .where(table.c.stream == streams.id, table.c.show <= oldest)
            .scalar_subquery()
            for table in (covered, counted_shows)
        ]
        with self._reading() as connection:
            for some in chunks(sorted({item.stream for item in passes if item.show})):
                query = select(streams.id, *newest).where(streams.id.in_(some))
                for stream, *shows in connection.execute(query):
                    found[stream] = max(show or 0 for show in shows)
        return found

    def of_shard(self, shard: int) -> list[Pass]:
        """Return those that were paid by the accounts of a shard, refunded ones too."""
        return self._where(_passes.c.shard == shard, _passes.c.is_paid.is_(True))

    def all(self) -> list[Pass]:
        """Return all that were paid, refunded ones too."""
        return self._where(_passes.c.is_paid.is_(True))

    def page(
        self,
        *,
        account: AccountId | None = None,
        stream: UUID | None = None,
        limit: int,
        before: str | None = None,
    ) -> list[Pass]:
        """Return paid passes of an account or a stream, the newest first.

        Args:
            before: Id of the one behind which the page begins; one not known is behind all.
        """
        c = _passes.c
        query = select(_passes).where(c.is_paid.is_(True)).order_by(c.number.desc()).limit(limit)
        if account is not None:
            query = query.where(c.account == account)
        if stream is not None:
            query = query.where(c.stream == stream)
        if before is not None:
            query = query.where(c.number < select(c.number).where(c.id == before).scalar_subquery())
        with self._reading() as connection:
            return _passes_of(connection, connection.execute(query).all())

    def _where(self, *conditions: ColumnElement[bool]) -> list[Pass]:
        query = select(_passes).where(*conditions).order_by(_passes.c.number)
        with self._reading() as connection:
            return _passes_of(connection, connection.execute(query).all())


def paid_for(connection: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, Planck]:
    """Return what the passes of accounts cost, those left out that were refunded."""
    return _sums(connection, accounts, _passes.c.refunded_ms.is_(None))


def refunded(connection: Connection, accounts: Sequence[AccountId]) -> dict[AccountId, Planck]:
    """Return what came back to accounts of passes that were refunded."""
    return _sums(connection, accounts, _passes.c.refunded_ms.is_not(None))


def _sums(
    connection: Connection, accounts: Sequence[AccountId], is_meant: ColumnElement[bool]
) -> dict[AccountId, Planck]:
    sums: dict[AccountId, int] = defaultdict(int)
    for some in chunks(accounts):
        query = select(_passes.c.account, _passes.c.planck).where(
            _passes.c.account.in_(some), _passes.c.is_paid.is_(True), is_meant
        )
        for row in connection.execute(query):
            sums[AccountId(row.account)] += row.planck
    return {account: Planck(planck) for account, planck in sums.items()}


def _known(connection: Connection, account: AccountId, idempotency_key: str) -> Pass | None:
    c = _passes.c
    query = select(_passes).where(c.account == account, c.idempotency_key == idempotency_key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _passes_of(connection, [row])[0]


def _one(connection: Connection, identity: str) -> Pass:
    row = connection.execute(select(_passes).where(_passes.c.id == identity)).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no pass {identity[:80]!r}")
    return _passes_of(connection, [row])[0]


def _passes_of(connection: Connection, rows: Sequence[Row[Any]]) -> list[Pass]:
    tables = tables_of(connection, {row.stream for row in rows if row.split})
    shares = {(stream, table.number): table.shares for stream, of in tables.items() for table in of}
    return [_pass(row, shares.get((row.stream, row.split), ())) for row in rows]


def _pass(row: Row[Any], shares: Shares) -> Pass:
    return Pass(
        row.id,
        AccountId(row.account),
        row.stream,
        PassKind(row.kind),
        row.show,
        row.from_tick,
        row.until_tick,
        row.planck,
        row.platform_fee_ppm,
        AccountId(row.creator),
        row.created_ms,
        row.is_paid,
        row.refunded_ms,
        row.split,
        shares,
    )
