"""Viewers, what they paid in, and their sessions."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Table,
    and_,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from metering import signing
from metering.book import escrow_schema, schema
from metering.book.escrow import adopt
from metering.book.postings import post
from metering.book.records import Deposit, SessionRecord, ViewerRecord
from metering.book.rows import Rows
from metering.book.streams import new_key, sha256
from metering.errors import IdempotencyConflictError, InvalidValueError, UnknownNameError
from metering.model.ledger import deposit_postings
from metering.model.price import UNITS_MAX
from metering.units import (
    ACCOUNT_BYTES,
    AccountId,
    Planck,
    SessionId,
    account_text,
    session_text,
    shard_of,
)

_NAME_MAX: Final = 200
_IDEMPOTENCY_KEY_MAX: Final = 200


class ViewerRows(Rows):
    """The part of the book about viewers, their deposits and sessions."""

    def create_viewer(
        self, name: str, account: AccountId | None, now_ms: int
    ) -> tuple[ViewerRecord, str]:
        """Return a new viewer and their key, which is shown this once.

        Args:
            name: Unique; shown to the operator.
            account: Their wallet's public key; one is made, and its seed kept here, when None.
            now_ms: Unix time.

        Raises:
            InvalidValueError: If the name or the account is taken, or cannot be one.
        """
        if not 0 < len(name) <= _NAME_MAX or name.startswith("0x"):
            raise InvalidValueError(
                f"a viewer's name has 1 to {_NAME_MAX} characters and does not begin with 0x"
            )
        seed = None
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
                adopt(connection, account, now_ms)
                found = connection.execute(
                    select(schema.viewers).where(schema.viewers.c.account == account)
                ).all()
                record = _records(connection, found)[0]
        except IntegrityError as error:
            raise InvalidValueError(
                f"viewer {name!r}, or account {account_text(account)}, is there already: choose "
                "another name, or use that viewer"
            ) from error
        return record, key

    def viewers(self) -> list[ViewerRecord]:
        """Return every viewer, by name."""
        with self._reading() as connection:
            return _records(
                connection,
                connection.execute(select(schema.viewers).order_by(schema.viewers.c.name)).all(),
            )

    def viewer(self, name_or_account: str | AccountId) -> ViewerRecord:
        """Return a viewer by name, by account, or by the account's text.

        Raises:
            UnknownNameError: If there is none.
        """
        viewers = schema.viewers.c
        if isinstance(name_or_account, str) and not name_or_account.startswith("0x"):
            found = self._viewer_where(viewers.name == name_or_account)
        else:
            try:
                raw = (
                    bytes.fromhex(name_or_account[2:])
                    if isinstance(name_or_account, str)
                    else name_or_account
                )
            except ValueError:
                raw = b""
            found = self._viewer_where(viewers.account == raw)
        if found is None:
            raise UnknownNameError(f"there is no viewer {name_or_account!r}")
        return found

    def viewer_by_key(self, key: str) -> ViewerRecord | None:
        """Return the viewer whose key this is, None when it is nobody's."""
        # Looked up by hash: time tells nothing about a key of 192 random bits.
        return self._viewer_where(schema.viewers.c.key_sha256 == sha256(key))

    def viewer_seed(self, account: AccountId) -> bytes | None:
        """Return the seed of a key that the server made, None when the viewer has it alone."""
        viewers = schema.viewers.c
        with self._reading() as connection:
            seed: bytes | None = connection.execute(
                select(viewers.seed).where(viewers.account == account)
            ).scalar_one_or_none()
        return seed

    def rotate_viewer_key(self, account: AccountId) -> str:
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

    def deposit(
        self, account: AccountId, planck: Planck, idempotency_key: str, memo: str, now_ms: int
    ) -> Deposit:
        """Book a top-up once: the same key with the same content again changes nothing.

        Raises:
            UnknownNameError: If there is no such viewer.
            InvalidValueError: If the amount is 0, not whole units, or more than Redis can count.
            IdempotencyConflictError: If the key was used with other content.
        """
        if not 0 < len(idempotency_key) <= _IDEMPOTENCY_KEY_MAX:
            raise InvalidValueError(f"an idempotency key has 1 to {_IDEMPOTENCY_KEY_MAX} letters")
        if planck <= 0:
            raise InvalidValueError(f"deposit of {planck} planck: it must be above 0")
        body = json.dumps([account_text(account), str(planck), memo]).encode()
        body_hash = hashlib.sha256(body).digest()
        deposits = schema.deposits.c
        with self._writing() as connection:
            known = connection.execute(
                select(deposits.body_hash).where(deposits.idempotency_key == idempotency_key)
            ).scalar_one_or_none()
            if known is not None and known != body_hash:
                raise IdempotencyConflictError(
                    f"idempotency key {idempotency_key!r} was used for another deposit; use a new "
                    "key for a new deposit"
                )
            before = deposited(connection, [account]).get(account)
            if before is None:
                raise UnknownNameError(f"there is no viewer {account_text(account)}")
            if known is not None:
                return Deposit(is_new=False, total_planck=before)
            self._require_units(planck, "deposit", UNITS_MAX)
            total = self._require_units(before + planck, "sum of deposits", UNITS_MAX)
            connection.execute(
                insert(schema.deposits).values(
                    idempotency_key=idempotency_key,
                    body_hash=body_hash,
                    account=account,
                    planck=planck,
                    memo=memo,
                    created_ms=now_ms,
                )
            )
            post(connection, "deposit", idempotency_key, now_ms, deposit_postings(account, planck))
        return Deposit(is_new=True, total_planck=total)

    def total_deposits(self, account: AccountId) -> Planck:
        """Return all that an account ever paid in; 0 for one that is not known."""
        with self._reading() as connection:
            return deposited(connection, [account]).get(account, Planck(0))

    def depositors(self) -> list[AccountId]:
        """Return who ever paid in, the newest deposit first."""
        deposits = schema.deposits.c
        with self._reading() as connection:
            newest = func.max(deposits.created_ms)
            found = select(deposits.account).group_by(deposits.account).order_by(newest.desc())
            return [AccountId(account) for account in connection.execute(found).scalars()]

    def add_session(  # noqa: PLR0917 -- the contract between rooms names them in this order
        self,
        session: SessionId,
        account: AccountId,
        stream: UUID,
        join: int,
        now_ms: int,
        expires_ms: int,
    ) -> None:
        """Write a session when its token is minted; minting it again moves its end.

        Raises:
            IdempotencyConflictError: If the id belongs to another viewer or stream, or has ended.
            UnknownNameError: If there is no such viewer or stream.
        """
        try:
            with self._writing() as connection:
                known = connection.execute(
                    select(schema.sessions).where(_is_session(session))
                ).one_or_none()
                if known is None:
                    connection.execute(
                        insert(schema.sessions).values(
                            session=session_text(session),
                            account=account,
                            stream=stream,
                            join=join,
                            created_ms=now_ms,
                            expires_ms=expires_ms,
                        )
                    )
                    return
                same = (known.account, known.stream, known.join) == (account, stream, join)
                if not same or known.ended_ms is not None:
                    raise IdempotencyConflictError(
                        f"session {session_text(session)} has ended or is another's: mint a new one"
                    )
                connection.execute(
                    update(schema.sessions)
                    .where(_is_session(session))
                    .values(expires_ms=expires_ms)
                )
        except IntegrityError as error:
            raise UnknownNameError(
                f"no viewer {account_text(account)}, or no stream {stream}"
            ) from error

    def session(self, session: SessionId) -> SessionRecord:
        """Return a session, live or not.

        Raises:
            UnknownNameError: If there is none.
        """
        with self._reading() as connection:
            row = connection.execute(
                select(schema.sessions).where(_is_session(session))
            ).one_or_none()
        if row is None:
            raise UnknownNameError(f"there is no session {session_text(session)}")
        return _session(row)

    def sessions_live(self, now_ms: int) -> list[SessionRecord]:
        """Return the sessions that have neither ended nor expired, oldest first."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            return [
                _session(row)
                for row in connection.execute(
                    select(schema.sessions)
                    .where(sessions.ended_ms.is_(None), sessions.expires_ms > now_ms)
                    .order_by(sessions.created_ms, sessions.session)
                )
            ]

    def sessions_ended(self, since_ms: int, now_ms: int) -> list[SessionRecord]:
        """Return the sessions that ended or expired from `since_ms` to `now_ms`."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            return [
                _session(row)
                for row in connection.execute(
                    select(schema.sessions).where(
                        sessions.expires_ms >= since_ms,
                        or_(
                            sessions.ended_ms >= since_ms,
                            and_(sessions.ended_ms.is_(None), sessions.expires_ms <= now_ms),
                        ),
                    )
                )
            ]

    def end_session(self, session: SessionId, reason: str, now_ms: int) -> None:
        """End a session, if it is live: the first reason stays."""
        with self._writing() as connection:
            connection.execute(
                update(schema.sessions)
                .where(_is_session(session), schema.sessions.c.ended_ms.is_(None))
                .values(ended_ms=now_ms, reason=reason)
            )

    def _viewer_where(self, condition: ColumnElement[bool]) -> ViewerRecord | None:
        with self._reading() as connection:
            rows = connection.execute(select(schema.viewers).where(condition)).all()
            return next(iter(_records(connection, rows)), None)


def deposited(connection: Connection, accounts: Iterable[AccountId]) -> dict[AccountId, Planck]:
    """Return what each of some viewers paid in; who is no viewer is left out."""
    wanted = list(accounts)
    viewers, deposits = schema.viewers.c, schema.deposits.c
    sums = dict.fromkeys(
        connection.execute(select(viewers.account).where(viewers.account.in_(wanted))).scalars(), 0
    )
    for row in connection.execute(
        select(deposits.account, deposits.planck).where(deposits.account.in_(wanted))
    ):
        sums[row.account] += row.planck
    return {account: Planck(planck) for account, planck in sums.items()}


def _records(connection: Connection, rows: Iterable[Row[Any]]) -> list[ViewerRecord]:
    rows = list(rows)
    paid, out = (
        _sums(connection, table, rows) for table in (schema.deposits, escrow_schema.withdrawals)
    )
    return [
        ViewerRecord(
            row.account,
            row.name,
            row.created_ms,
            Planck(paid.get(row.account, 0)),
            row.seed is None,
            Planck(out.get(row.account, 0)),
        )
        for row in rows
    ]


def _sums(connection: Connection, table: Table, rows: list[Row[Any]]) -> dict[AccountId, int]:
    query = select(table.c.account, table.c.planck)
    if len(rows) == 1:
        query = query.where(table.c.account == rows[0].account)
    sums: dict[AccountId, int] = {}
    for row in connection.execute(query):
        sums[row.account] = sums.get(row.account, 0) + row.planck
    return sums


def _is_session(session: SessionId) -> ColumnElement[bool]:
    return schema.sessions.c.session == session_text(session)


def _session(row: Row[Any]) -> SessionRecord:
    return SessionRecord(
        SessionId(int(row.session, 16)),
        row.account,
        row.stream,
        row.join,
        row.created_ms,
        row.expires_ms,
        row.ended_ms,
        row.reason,
    )
