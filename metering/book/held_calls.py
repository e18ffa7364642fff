"""Calls to the chain that we make for viewers whose keys we hold: written before they are signed.

At most one of an account is under way: it has a nonce of its own, and every later one waits until
this nonce is used in finalized state. So a call that is repeated is never made twice.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, insert, select, update

from metering.book import escrow_schema as tables
from metering.book.records import HeldCall
from metering.book.rows import Repository
from metering.errors import IdempotencyConflictError
from metering.units import AccountId


class HeldCallRepository(Repository):
    """Reads and writes calls made for viewers."""

    def add(self, call: HeldCall, now_ms: int) -> HeldCall:
        """Write a call that is to be made; the same key with the same content changes nothing.

        Raises:
            IdempotencyConflictError: If the key was used with other content.
        """
        calls = tables.held_calls
        with self._writing() as connection:
            row = connection.execute(select(calls).where(calls.c.key == call.key)).one_or_none()
            if row is not None:
                known = _call(row)
                same = (known.account, known.name, known.data, known.planck)
                if same != (call.account, call.name, call.data, call.planck):
                    raise IdempotencyConflictError(
                        f"idempotency key {call.key!r} was used for something else; use a new key "
                        "for a new deposit"
                    )
                return known
            connection.execute(
                insert(calls).values(
                    key=call.key,
                    account=call.account,
                    name=call.name,
                    data=call.data,
                    planck=call.planck,
                    created_ms=now_ms,
                )
            )
        return call

    def next(self, account: AccountId) -> HeldCall | None:
        """Return the oldest call of an account that is not done."""
        calls = tables.held_calls
        with self._reading() as connection:
            row = connection.execute(
                select(calls)
                .where(calls.c.account == account, calls.c.done_ms.is_(None))
                .order_by(calls.c.id)
                .limit(1)
            ).one_or_none()
        return None if row is None else _call(row)

    def set_nonce(self, key: str, nonce: int) -> None:
        """Write the nonce of a call before it is signed; once chosen it stays."""
        calls = tables.held_calls
        with self._writing() as connection:
            connection.execute(
                update(calls).where(calls.c.key == key, calls.c.nonce.is_(None)).values(nonce=nonce)
            )

    def close(self, key: str, reason: str, now_ms: int) -> None:
        """Write that finalized state has used the nonce of a call; `reason` when it failed."""
        calls = tables.held_calls
        with self._writing() as connection:
            connection.execute(
                update(calls)
                .where(calls.c.key == key, calls.c.done_ms.is_(None))
                .values(done_ms=now_ms, trouble=reason)
            )


def _call(row: Row[Any]) -> HeldCall:
    return HeldCall(
        row.key,
        row.account,
        row.name,
        bytes(row.data),
        row.planck,
        row.nonce,
        row.done_ms is not None,
        row.trouble or "",
    )
