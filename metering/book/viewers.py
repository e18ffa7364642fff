"""Viewers, what they paid in, and their sessions."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from metering import signing
from metering.book import escrow_schema, schema
from metering.book.escrow import adopt
from metering.book.given_back import given_back
from metering.book.records import ViewerRecord
from metering.book.returns import returned
from metering.book.rows import Repository, chunks
from metering.book.streams import new_key, sha256
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import (
    ACCOUNT_BYTES,
    AccountId,
    Planck,
    account_text,
    shard_of,
)

_NAME_MAX: Final = 200
PAGE_MAX: Final = 1000
"""Of more viewers all sums are read at once."""


class ViewerRepository(Repository):
    """Reads and writes viewers and their keys."""

    def create(self, name: str, account: AccountId | None, now_ms: int) -> tuple[ViewerRecord, str]:
        """Return a new viewer and their key, which is shown this once.

        Args:
            name: Unique; shown to the operator.
            account: Their wallet's public key; one is made, and its seed kept here, when None.

        Raises:
            InvalidValueError: If the name or the account is taken, or cannot be one.
        """
        if not 0 < len(name) <= _NAME_MAX or name.startswith("0x") or name != name.strip():
            raise InvalidValueError(
                f"viewer {name[:_NAME_MAX]!r}: a name has 1 to {_NAME_MAX} characters, does not "
                "begin with 0x, and neither begins nor ends with a space"
            )

        # Without a wallet of their own the server makes one, and signs for it.
        seed, given = None, account
        if account is None:
            seed = secrets.token_bytes(signing.SEED_BYTES)
            account = signing.from_seed(seed).account
        elif len(account) != ACCOUNT_BYTES:
            raise InvalidValueError(f"an account has {ACCOUNT_BYTES} bytes, not {len(account)}")
        key = new_key()
        try:
            with self._writing() as connection:
                connection.execute(
                    insert(schema.viewers).values(
                        account=account,
                        shard=shard_of(account),
                        name=name,
                        seed=seed,
                        key_sha256=sha256(key),
                        created_ms=now_ms,
                    )
                )

                # Deposits on the chain from before count from now on.
                adopt(connection, account, now_ms)
                rows = connection.execute(
                    select(schema.viewers).where(schema.viewers.c.account == account)
                ).all()
                record = _records(connection, rows)[0]
        except IntegrityError as error:
            raise InvalidValueError(self._taken(name, given)) from error
        return record, key

    def _taken(self, name: str, account: AccountId | None) -> str:
        """Return which of a new viewer's names is another's: never an account made for the call."""
        viewers = schema.viewers.c
        query = select(viewers.name).where(viewers.account == account)
        with self._reading() as connection:
            owner = None if account is None else connection.execute(query).scalar_one_or_none()
        if account is None or owner in (None, name):
            return f"viewer {name!r} is there already: choose another name, or use that viewer"
        return (
            f"account {account_text(account)} is already that of viewer {owner!r}: use them, or "
            "give another account"
        )

    def all(self) -> list[ViewerRecord]:
        """Return every viewer, by name."""
        with self._reading() as connection:
            return _records(
                connection,
                connection.execute(select(schema.viewers).order_by(schema.viewers.c.name)).all(),
            )

    def page(self, after: str, limit: int) -> list[ViewerRecord]:
        """Return the first `limit` viewers whose name is behind `after`, by name."""
        viewers = schema.viewers.c
        with self._reading() as connection:
            query = select(schema.viewers).where(viewers.name > after)
            rows = connection.execute(query.order_by(viewers.name).limit(limit)).all()
            return _records(connection, rows)

    def some(self, accounts: Sequence[AccountId]) -> list[ViewerRecord]:
        """Return those of some accounts that are viewers."""
        viewers, found = schema.viewers.c, list[ViewerRecord]()
        with self._reading() as connection:
            for some in chunks(accounts):
                query = select(schema.viewers).where(viewers.account.in_(some))
                found += _records(connection, connection.execute(query).all())
        return found

    def get(self, name_or_account: str | AccountId) -> ViewerRecord:
        """Return a viewer by name, by account, or by the account's text.

        Raises:
            UnknownNameError: If there is none.
        """
        viewers = schema.viewers.c
        if isinstance(name_or_account, str) and not name_or_account.startswith("0x"):
            record = self._viewer_where(viewers.name == name_or_account)
        else:
            try:
                raw = (
                    bytes.fromhex(name_or_account[2:])
                    if isinstance(name_or_account, str)
                    else name_or_account
                )
            except ValueError:
                raw = b""
            record = self._viewer_where(viewers.account == raw)
        if record is None:
            raise UnknownNameError(f"there is no viewer {name_or_account!r}")
        return record

    def watched_by(self, stream: UUID, name: str) -> ViewerRecord:
        """Return a viewer by name who has had a player of a stream.

        Raises:
            UnknownNameError: There is none: in the same words, and after the same work, whether
                there is no such viewer or they never watched it.
        """
        viewers, sessions = schema.viewers.c, schema.sessions.c
        has_watched = select(sessions.session).where(
            sessions.account == viewers.account, sessions.stream == stream
        )
        record = self._viewer_where((viewers.name == name) & has_watched.exists())
        if record is None:
            raise UnknownNameError(
                f"nobody called {name[:80]!r} has watched this stream: give their account, which "
                "they see on their own page"
            )
        return record

    def by_key(self, key: str) -> ViewerRecord | None:
        """Return the viewer whose key this is, None when there is none."""
        # Looked up by hash: time tells nothing about a key of 192 random bits.
        return self._viewer_where(schema.viewers.c.key_sha256 == sha256(key))

    def seed(self, account: AccountId) -> bytes | None:
        """Return the seed of a key that the server made, None when the viewer has it alone."""
        viewers = schema.viewers.c
        with self._reading() as connection:
            seed: bytes | None = connection.execute(
                select(viewers.seed).where(viewers.account == account)
            ).scalar_one_or_none()
        return seed

    def rotate_key(self, account: AccountId) -> str:
        """Return a new key of a viewer, shown this once; the old one is refused from now on.

        Raises:
            UnknownNameError: If there is no such viewer.
        """
        key = new_key()
        with self._writing() as connection:
            changed = connection.execute(
                update(schema.viewers)
                .where(schema.viewers.c.account == account)
                .values(key_sha256=sha256(key))
            )
            if changed.rowcount != 1:
                raise UnknownNameError(f"there is no viewer {account_text(account)}")
        return key

    def rename(self, account: AccountId, name: str) -> None:
        """Call a viewer otherwise.

        Args:
            name: Unique, as `create` takes it.

        Raises:
            InvalidValueError: If the name is taken.
            UnknownNameError: If there is no such viewer.
        """
        viewers = schema.viewers
        try:
            with self._writing() as connection:
                changed = connection.execute(
                    update(viewers).where(viewers.c.account == account).values(name=name)
                )
        except IntegrityError as error:
            raise InvalidValueError(self._taken(name, None)) from error
        if changed.rowcount != 1:
            raise UnknownNameError(f"there is no viewer {account_text(account)}")

    def _viewer_where(self, condition: ColumnElement[bool]) -> ViewerRecord | None:
        with self._reading() as connection:
            rows = connection.execute(select(schema.viewers).where(condition)).all()
            return next(iter(_records(connection, rows)), None)


def _records(connection: Connection, rows: Iterable[Row[Any]]) -> list[ViewerRecord]:
    rows = list(rows)
    paid, out = (
        _sums(connection, table, rows) for table in (schema.deposits, escrow_schema.withdrawals)
    )
    named = None if len(rows) > PAGE_MAX else [row.account for row in rows]
    back, again = returned(connection, named), given_back(connection, named)
    return [
        ViewerRecord(
            row.account,
            row.name,
            row.created_ms,
            Planck(paid.get(row.account, 0)),
            row.seed is None,
            Planck(out.get(row.account, 0) + back.get(row.account, 0)),
            again.get(row.account, Planck(0)),
        )
        for row in rows
    ]


def _sums(connection: Connection, table: Table, rows: list[Row[Any]]) -> dict[AccountId, int]:
    query = select(table.c.account, table.c.planck)
    queries = [query]
    if len(rows) <= PAGE_MAX:
        accounts = [row.account for row in rows]
        queries = [query.where(table.c.account.in_(some)) for some in chunks(accounts)]
    sums: dict[AccountId, int] = {}
    for each in queries:
        for row in connection.execute(each):
            sums[row.account] = sums.get(row.account, 0) + row.planck
    return sums
