"""Which operator's key the book's receipts are signed with, and with which they were before.

The first key that a book meets is its own from then on, as an epoch or a Redis is; another one is
taken only when an operator says so. What is refused, and in which words, is the caller's.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Row, cast, select

from metering import signing
from metering.book import schema
from metering.book.meta import meta, put_meta
from metering.book.receipts import receipt_of_row
from metering.book.rows import Repository
from metering.book.signed_by import SIGNED_BY
from metering.model.receipt import canonical_bytes
from metering.units import AccountId, Asset

_EVER: Final = "operator:"


class OperatorRepository(Repository):
    """Reads and writes whose key signs."""

    def is_ours(self, account: AccountId, now_ms: int) -> bool:
        """Return whether this key signs; a book that nobody has signed yet is its own by this call.

        A book of a version that did not note it is judged by its newest receipt.
        """
        with self._writing() as connection:
            known = meta(connection, SIGNED_BY)
            if known is not None:
                return known == account.hex()
            newest = _newest_receipt(connection)
            if newest is not None and not _is_by(account, newest, self._asset):
                return False
            _put(connection, account, now_ms)
        return True

    def accept(self, account: AccountId, now_ms: int) -> AccountId | None:
        """Let another key sign from now on; return whose did, None when that is not known."""
        with self._writing() as connection:
            known = meta(connection, SIGNED_BY)
            _put(connection, account, now_ms)
        return None if known is None else AccountId(bytes.fromhex(known))

    def accounts(self) -> list[AccountId]:
        """Return every account whose key signed, the newest first."""
        names = schema.meta.c
        with self._reading() as connection:
            rows = connection.execute(
                select(names.name)
                .where(names.name.startswith(_EVER))
                .order_by(cast(names.value, BigInteger).desc())
            )
            return [AccountId(bytes.fromhex(name.removeprefix(_EVER))) for name in rows.scalars()]


def _put(connection: Connection, account: AccountId, now_ms: int) -> None:
    put_meta(connection, SIGNED_BY, account.hex())
    put_meta(connection, _EVER + account.hex(), str(now_ms))


def _newest_receipt(connection: Connection) -> Row[Any] | None:
    receipts = schema.receipts.c
    return connection.execute(
        select(schema.receipts).order_by(receipts.made_ms.desc()).limit(1)
    ).one_or_none()


def _is_by(account: AccountId, row: Row[Any], asset: Asset) -> bool:
    signed = receipt_of_row(row)
    return signing.is_signed(account, canonical_bytes(signed.receipt, asset), signed.signature)
