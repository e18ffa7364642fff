"""What we ask providers to give back, as rows: asked once for each key, decided once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from mediaserver.payments.paging import newest
from mediaserver.payments.records import Refund, RefundState
from mediaserver.payments.schema import refunds as _refunds
from metering.errors import IdempotencyConflictError, UnknownNameError
from metering.units import AccountId, Planck

PAGE_MAX: Final = 200
REFERENCE_MAX: Final = 150
WHY_MAX: Final = 500


def known_by(connection: Connection, made_by: str, idempotency_key: str) -> Refund | None:
    """Return the refund that somebody asked for by a key, None when there is none."""
    c = _refunds.c
    query = select(_refunds).where(c.made_by == made_by, c.idempotency_key == idempotency_key)
    row = connection.execute(query).one_or_none()
    return None if row is None else _refund(row)


def same(known: Refund, order: str, amount: int) -> Refund:
    """Return a refund that is asked for again.

    Raises:
        IdempotencyConflictError: The key was used for another one.
    """
    if (known.order, known.amount) != (order, amount):
        raise IdempotencyConflictError(
            f"idempotency key {known.idempotency_key!r} was used for another refund; use a new key "
            "for a new one"
        )
    return known


def add(connection: Connection, refund: Refund) -> None:
    """Write a refund down."""
    connection.execute(
        insert(_refunds).values(
            id=refund.id,
            order=refund.order,
            account=refund.account,
            amount=refund.amount,
            planck=refund.planck,
            why=refund.why,
            state=refund.state.value,
            reference=refund.reference,
            detail=refund.detail,
            made_by=refund.made_by,
            idempotency_key=refund.idempotency_key,
            created_ms=refund.created_ms,
            done_ms=refund.done_ms,
            withdrawal=refund.withdrawal,
        )
    )


def get(connection: Connection, refund: str) -> Refund:
    """Return a refund by its id.

    Raises:
        UnknownNameError: There is none.
    """
    row = connection.execute(select(_refunds).where(_refunds.c.id == refund)).one_or_none()
    if row is None:
        raise UnknownNameError(f"there is no refund {refund[:64]!r}")
    return _refund(row)


def decide(
    connection: Connection,
    refund: str,
    state: RefundState,
    now_ms: int,
    *,
    reference: str | None = None,
    detail: str = "",
) -> bool:
    """Note how a refund ended; False when that was noted before."""
    c = _refunds.c
    values = {"state": state.value, "detail": detail, "done_ms": now_ms, "reference": reference}
    changed = connection.execute(
        update(_refunds).where(c.id == refund, c.state == RefundState.ASKED.value).values(**values)
    )
    return changed.rowcount == 1


def heard(connection: Connection, refund: str, now_ms: int, *, is_undone: bool) -> None:
    """Note what a provider's own notice says of a refund of ours; of another's nothing."""
    c = _refunds.c
    if is_undone:
        values = {"state": RefundState.REFUSED.value, "done_ms": now_ms, "detail": "it failed"}
        is_it = (c.id == refund) & (c.state != RefundState.REFUSED.value)
    else:
        values = {"state": RefundState.DONE.value, "done_ms": now_ms}
        is_it = (c.id == refund) & (c.state == RefundState.ASKED.value)
    connection.execute(update(_refunds).where(is_it).values(**values))


def of_order(connection: Connection, order: str) -> list[Refund]:
    """Return what was asked back of an order, the oldest first."""
    query = select(_refunds).where(_refunds.c.order == order).order_by(_refunds.c.number)
    return [_refund(row) for row in connection.execute(query)]


def of_withdrawals(connection: Connection, ids: Sequence[str]) -> dict[str, list[Refund]]:
    """Return the parts of some withdrawals, in the order in which they were made."""
    c = _refunds.c
    parts: dict[str, list[Refund]] = {name: [] for name in ids}
    query = select(_refunds).where(c.withdrawal.in_(ids)).order_by(c.number)
    for row in connection.execute(query):
        parts[row.withdrawal].append(_refund(row))
    return parts


def by_withdrawal(connection: Connection) -> dict[str, int]:
    """Return how much planck the parts of each withdrawal are."""
    c, sums = _refunds.c, dict[str, int]()
    for row in connection.execute(select(c.withdrawal, c.planck).where(c.withdrawal.is_not(None))):
        sums[row.withdrawal] = sums.get(row.withdrawal, 0) + row.planck
    return sums


def asked(connection: Connection) -> list[Refund]:
    """Return all whose end no provider has told yet, the oldest first."""
    c = _refunds.c
    query = select(_refunds).where(c.state == RefundState.ASKED.value).order_by(c.number)
    return [_refund(row) for row in connection.execute(query)]


def page(
    connection: Connection,
    *,
    limit: int,
    before: str | None = None,
    state: RefundState | None = None,
    account: AccountId | None = None,
) -> list[Refund]:
    """Return refunds, the newest first.

    Args:
        before: Id of the refund behind which the page begins; one not known is behind all.
        state: Only those in this state.
        account: Only theirs.
    """
    rows = newest(connection, _refunds, limit=limit, before=before, state=state, account=account)
    return [_refund(row) for row in rows]


def _refund(row: Row[Any]) -> Refund:
    return Refund(
        row.id,
        row.order,
        AccountId(bytes(row.account)),
        int(row.amount),
        Planck(row.planck),
        row.why,
        RefundState(row.state),
        row.reference,
        row.detail,
        row.made_by,
        row.idempotency_key,
        row.created_ms,
        row.done_ms,
        row.withdrawal,
    )
