"""Viewer sessions: written when a token is minted, ended when they are replaced, left or ended."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, and_, insert, or_, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from metering.book import schema
from metering.book.facts import Facts, SessionBegan, SessionEnded
from metering.book.records import RETURNING, SessionRecord
from metering.book.rows import Repository, chunks, session_of
from metering.book.touched import mark
from metering.errors import IdempotencyConflictError, UnknownNameError
from metering.units import AccountId, Asset, Planck, SessionId, account_text, session_text


class FollowingSession(Protocol):
    """What differs from the session that is followed."""

    @property
    def session(self) -> SessionId:
        """Return its id."""

    @property
    def join(self) -> int:
        """Return the join that its ticks are entered under."""

    @property
    def created_ms(self) -> int:
        """Return when it begins, Unix time."""

    @property
    def expires_ms(self) -> int:
        """Return when its token expires."""


class SessionRepository(Repository):
    """Reads and writes viewer sessions."""

    def __init__(self, engine: Engine, asset: Asset, facts: Facts) -> None:
        super().__init__(engine, asset)
        self._facts = facts

    def add(  # noqa: PLR0917 -- the contract between rooms names them in this order
        self,
        session: SessionId,
        account: AccountId,
        stream: UUID,
        join: int,
        now_ms: int,
        expires_ms: int,
        ends_ms: int | None = None,
        own_limit: Planck | None = None,
    ) -> None:
        """Write a session when its token is minted, or minted again.

        Args:
            expires_ms: When this token expires.
            ends_ms: Unix time that no token of it outlives, kept from the first time on; None: it
                ends with its first token.
            own_limit: What its viewer allows it to spend, 0 for no limit; None: as it is, none at
                first.

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
                            ends_ms=expires_ms if ends_ms is None else ends_ms,
                            own_limit=own_limit or Planck(0),
                            began_ms=now_ms,
                        )
                    )
                    self._facts.tell(connection, SessionBegan(session, account, stream, now_ms))
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
                    .values(
                        expires_ms=max(known.expires_ms, min(expires_ms, known.ends_ms)),
                        own_limit=known.own_limit if own_limit is None else own_limit,
                    )
                )
        except IntegrityError as error:
            raise UnknownNameError(
                f"no viewer {account_text(account)}, or no stream {stream}"
            ) from error

    def follow(
        self,
        followed: SessionId,
        made: FollowingSession,
        reason: str,
        own_limit: Planck | None = None,
    ) -> None:
        """Write the session of a player who comes back; the followed one ends, if it is live.

        Args:
            own_limit: What its viewer allows it to spend; None: as much as the followed one.

        Raises:
            IdempotencyConflictError: If nobody may come back from the followed one.
        """
        with self._writing() as connection:
            known = connection.execute(
                select(schema.sessions).where(_is_session(followed))
            ).one_or_none()
            if known is None or not session_of(known).may_return(made.created_ms):
                raise IdempotencyConflictError(f"session {session_text(followed)} is over")
            if known.ended_ms is None:
                connection.execute(
                    update(schema.sessions)
                    .where(_is_session(followed))
                    .values(ended_ms=made.created_ms, reason=reason)
                )
                self._tell_ended(connection, session_of(known), reason, made.created_ms)
            connection.execute(
                insert(schema.sessions).values(
                    session=session_text(made.session),
                    account=known.account,
                    stream=known.stream,
                    join=made.join,
                    created_ms=made.created_ms,
                    expires_ms=made.expires_ms,
                    ends_ms=known.ends_ms,
                    own_limit=known.own_limit if own_limit is None else own_limit,
                    began_ms=known.began_ms,
                )
            )
            began = SessionBegan(
                made.session, known.account, known.stream, made.created_ms, followed
            )
            self._facts.tell(connection, began)

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
        return session_of(row)

    def live(self, now_ms: int) -> list[SessionRecord]:
        """Return the sessions that have neither ended nor expired, oldest first."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            return [
                session_of(row)
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
                session_of(row)
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
        is_live = (_is_session(session), schema.sessions.c.ended_ms.is_(None))
        with self._writing() as connection:
            row = connection.execute(select(schema.sessions).where(*is_live)).one_or_none()
            if row is not None:
                connection.execute(
                    update(schema.sessions).where(*is_live).values(ended_ms=now_ms, reason=reason)
                )
                self._tell_ended(connection, session_of(row), reason, now_ms)

    def of_account(self, account: AccountId, now_ms: int, limit: int) -> list[SessionRecord]:
        """Return the newest `limit` sessions of an account whose end has not come, newest first.

        Those that ended before it are among them: their players might have come back.
        """
        sessions = schema.sessions.c
        with self._reading() as connection:
            return [
                session_of(row)
                for row in connection.execute(
                    select(schema.sessions)
                    .where(sessions.account == account, sessions.ends_ms > now_ms)
                    .order_by(sessions.created_ms.desc(), sessions.session)
                    .limit(limit)
                )
            ]

    def playing(self, account: AccountId, now_ms: int) -> list[SessionId]:
        """Return the live sessions of an account."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            texts = connection.execute(
                select(sessions.session).where(
                    sessions.account == account,
                    sessions.ends_ms > now_ms,
                    sessions.ended_ms.is_(None),
                    sessions.expires_ms > now_ms,
                )
            ).scalars()
            return [SessionId(int(session, 16)) for session in texts]

    def end_account(
        self, account: AccountId, reason: str, now_ms: int, only: SessionId | None = None
    ) -> tuple[int, list[SessionId]]:
        """End an account's sessions for good, or one of them; also those that might come back.

        Returns:
            How many it ended, and all whose end has not come: the store may still have them live.

        Raises:
            UnknownNameError: The account has no session `only`.
        """
        sessions = schema.sessions.c
        of_account = [sessions.account == account]
        if only is not None:
            of_account.append(_is_session(only))
        with self._writing() as connection:
            known = connection.execute(
                select(schema.sessions).where(*of_account, sessions.ends_ms > now_ms)
            ).all()
            if only is not None and not known:
                raise UnknownNameError(
                    f"the account has no session {session_text(only)} whose end has not come"
                )
            ended = [row for row in known if session_of(row).may_return(now_ms)]
            for row in ended:
                connection.execute(
                    update(schema.sessions)
                    .where(sessions.session == row.session)
                    .values(ended_ms=row.ended_ms or now_ms, reason=reason)
                )
                self._tell_ended(connection, session_of(row), reason, now_ms)
        return len(ended), [SessionId(int(row.session, 16)) for row in known]

    def page(
        self,
        limit: int,
        before: tuple[int, str] | None = None,
        *,
        stream: UUID | None = None,
        account: AccountId | None = None,
        only: Collection[SessionId] | None = None,
    ) -> list[SessionRecord]:
        """Return sessions, live or not, the newest first.

        Args:
            before: When the one was created, Unix ms, behind which the page begins, and its text.
            stream: Of this one alone.
            account: Of this one alone.
            only: Of these alone.
        """
        sessions = schema.sessions.c
        query = select(schema.sessions)
        if before is not None:
            query = query.where(tuple_(sessions.created_ms, sessions.session) < before)
        if stream is not None:
            query = query.where(sessions.stream == stream)
        if account is not None:
            query = query.where(sessions.account == account)
        ordered = query.order_by(sessions.created_ms.desc(), sessions.session.desc()).limit(limit)
        with self._reading() as connection:
            if only is None:
                return [session_of(row) for row in connection.execute(ordered)]
            found = [
                session_of(row)
                for some in chunks(sorted(map(session_text, only)))
                for row in connection.execute(ordered.where(sessions.session.in_(some)))
            ]
        found.sort(key=lambda known: (known.created_ms, known.session), reverse=True)
        return found[:limit]

    def not_over(self, account: AccountId, stream: UUID | None, now_ms: int) -> list[SessionRecord]:
        """Return an account's sessions that play, or whose player may come back.

        Args:
            stream: Of this one alone; None: of all.
        """
        sessions = schema.sessions.c
        query = select(schema.sessions).where(
            sessions.account == account, sessions.ends_ms > now_ms
        )
        if stream is not None:
            query = query.where(sessions.stream == stream)
        with self._reading() as connection:
            rows = connection.execute(query).all()
        return [known for known in map(session_of, rows) if known.may_return(now_ms)]

    def of_stream(self, stream: UUID, now_ms: int) -> list[SessionRecord]:
        """Return the sessions of a stream that play, or whose player may come back."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            rows = connection.execute(
                select(schema.sessions).where(sessions.stream == stream, sessions.ends_ms > now_ms)
            ).all()
        return [known for known in map(session_of, rows) if known.may_return(now_ms)]

    def end_all(self, ended: Sequence[SessionRecord], reason: str, now_ms: int) -> None:
        """End sessions for good, also those that ended and might come back."""
        with self._writing() as connection:
            for known in ended:
                connection.execute(
                    update(schema.sessions)
                    .where(_is_session(known.session))
                    .values(ended_ms=known.ended_ms or now_ms, reason=reason)
                )
                self._tell_ended(connection, known, reason, now_ms)

    def over(self, streams: Collection[UUID], now_ms: int, limit: int) -> list[SessionId]:
        """Return the newest `limit` sessions of streams that are over with a token that is not."""
        sessions = schema.sessions.c
        with self._reading() as connection:
            texts = connection.execute(
                select(sessions.session)
                .where(
                    sessions.stream.in_(streams),
                    sessions.ended_ms.is_not(None),
                    sessions.reason.not_in(RETURNING),
                    sessions.expires_ms > now_ms,
                    sessions.ends_ms > now_ms,
                )
                .order_by(sessions.ended_ms.desc())
                .limit(limit)
            ).scalars()
            return [SessionId(int(session, 16)) for session in texts]

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

    def _tell_ended(
        self, connection: Connection, known: SessionRecord, reason: str, now_ms: int
    ) -> None:
        """Tell that a session is over; the end of one whose player might come back is told, too."""
        if reason not in RETURNING:
            mark(connection, known.stream)
        fact = SessionEnded(known.session, known.account, known.stream, now_ms, reason)
        self._facts.tell(connection, fact)


def _is_session(session: SessionId) -> ColumnElement[bool]:
    return schema.sessions.c.session == session_text(session)
