"""Viewer sessions: written when a token is minted, ended when they are replaced or left."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from metering.book import schema
from metering.book.records import SessionRecord
from metering.book.rows import Repository
from metering.errors import IdempotencyConflictError, UnknownNameError
from metering.units import AccountId, SessionId, account_text, session_text


class SessionRepository(Repository):
    """Reads and writes viewer sessions."""

    def add(  # noqa: PLR0917 -- the contract between rooms names them in this order
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

                # A new session.
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

                # A token that is minted again, for the same viewer, stream and join only.
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

    def get(self, session: SessionId) -> SessionRecord:
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

    def live(self, now_ms: int) -> list[SessionRecord]:
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

    def ended(self, since_ms: int, now_ms: int) -> list[SessionRecord]:
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

    def end(self, session: SessionId, reason: str, now_ms: int) -> None:
        """End a session, if it is live: the first reason stays."""
        with self._writing() as connection:
            connection.execute(
                update(schema.sessions)
                .where(_is_session(session), schema.sessions.c.ended_ms.is_(None))
                .values(ended_ms=now_ms, reason=reason)
            )

    def of_join(self, account: AccountId, stream: UUID, join: int, now_ms: int) -> list[SessionId]:
        """Return the live sessions under a join."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            texts = connection.execute(
                select(sessions.session).where(
                    sessions.account == account,
                    sessions.stream == stream,
                    sessions.join == join,
                    sessions.ended_ms.is_(None),
                    sessions.expires_ms > now_ms,
                )
            ).scalars()
            return [SessionId(int(session, 16)) for session in texts]


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
