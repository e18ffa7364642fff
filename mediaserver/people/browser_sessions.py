"""Browsers that are signed in: a random token in a cookie, here its hash.

A session lives as long as it is used, and not beyond its absolute end. Who signs in gets a new
token, whatever the browser brought (no fixation, OWASP ASVS 5.0, 7.2.4).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from mediaserver.people import persons, tokens
from mediaserver.people.records import BrowserSession
from mediaserver.people.schema import browser_sessions, people
from metering.errors import UnknownNameError

IDLE_MS: Final = 30 * 86_400_000
LIFE_MS: Final = 180 * 86_400_000
"""Its absolute end."""
FRESH_MS: Final = 5 * 60_000
"""How long what moves money or gives rights may be asked after a credential was shown."""
TOUCH_MS: Final = 60_000
"""A use is written when the newest that is written is older than this."""
OF_PERSON_MAX: Final = 100
"""More browsers than anybody has: the oldest ends."""
_AGENT_MAX: Final = 200


def begin(
    connection: Connection, person: str, now_ms: int, address: str, agent: str
) -> tuple[str, BrowserSession]:
    """Return the token of a new session, shown this once, and the session.

    Sessions that are over, and the oldest beyond `OF_PERSON_MAX`, are removed.
    """
    persons.require_open(connection, person)
    kept = of_person(connection, person, now_ms)[: OF_PERSON_MAX - 1]
    connection.execute(
        delete(browser_sessions).where(
            browser_sessions.c.person == person,
            browser_sessions.c.id.not_in([session.id for session in kept]),
        )
    )
    token = tokens.new_secret()
    made = BrowserSession(
        tokens.new_id(),
        person,
        created_ms=now_ms,
        seen_ms=now_ms,
        expires_ms=now_ms + IDLE_MS,
        ends_ms=now_ms + LIFE_MS,
        shown_ms=now_ms,
        address=address[:64],
        agent=agent_text(agent),
    )
    connection.execute(
        insert(browser_sessions).values(
            sha256=tokens.sha256(token),
            id=made.id,
            person=person,
            created_ms=now_ms,
            seen_ms=now_ms,
            expires_ms=made.expires_ms,
            ends_ms=made.ends_ms,
            shown_ms=now_ms,
            address=made.address,
            agent=made.agent,
        )
    )
    return token, made


def agent_text(agent: str) -> str:
    """Return what is kept of a browser's own word of itself."""
    # A header may hold bytes that are no UTF-8, which no column takes.
    return agent.encode(errors="replace").decode()[:_AGENT_MAX]


def find(connection: Connection, token: str, now_ms: int) -> BrowserSession | None:
    """Return the session of a token while it lasts and its person is not closed, else None."""
    row = connection.execute(
        select(browser_sessions)
        .join(people)
        .where(
            browser_sessions.c.sha256 == tokens.sha256(token),
            browser_sessions.c.expires_ms > now_ms,
            people.c.closed_ms.is_(None),
        )
    ).one_or_none()
    return None if row is None else _session(row)


def needs_touch(session: BrowserSession, now_ms: int) -> bool:
    """Return whether the use of a session is to be written now."""
    return now_ms - session.seen_ms >= TOUCH_MS


def touch(connection: Connection, session: BrowserSession, now_ms: int) -> BrowserSession:
    """Note that a session is used: it lasts on from now, up to its absolute end."""
    touched = replace(session, seen_ms=now_ms, expires_ms=min(now_ms + IDLE_MS, session.ends_ms))
    connection.execute(
        update(browser_sessions)
        .where(browser_sessions.c.id == session.id)
        .values(seen_ms=touched.seen_ms, expires_ms=touched.expires_ms)
    )
    return touched


def shown(connection: Connection, session: str, now_ms: int) -> None:
    """Note that a credential was shown in a session."""
    connection.execute(
        update(browser_sessions).where(browser_sessions.c.id == session).values(shown_ms=now_ms)
    )


def of_person(connection: Connection, person: str, now_ms: int) -> list[BrowserSession]:
    """Return the sessions of a person that last, the newest used first."""
    rows = connection.execute(
        select(browser_sessions)
        .where(browser_sessions.c.person == person, browser_sessions.c.expires_ms > now_ms)
        .order_by(browser_sessions.c.seen_ms.desc(), browser_sessions.c.id)
    )
    return [_session(row) for row in rows]


def end(connection: Connection, person: str, session: str) -> None:
    """End a session of a person.

    Raises:
        UnknownNameError: They have no such one.
    """
    gone = connection.execute(
        delete(browser_sessions).where(
            browser_sessions.c.person == person, browser_sessions.c.id == session
        )
    )
    if not gone.rowcount:
        raise UnknownNameError(f"you have no session {session[:32]!r}")


def end_all(connection: Connection, person: str, but: str | None = None) -> int:
    """End the sessions of a person, but for one; return how many ended."""
    query = delete(browser_sessions).where(browser_sessions.c.person == person)
    if but is not None:
        query = query.where(browser_sessions.c.id != but)
    return int(connection.execute(query).rowcount)


def _session(row: Row[Any]) -> BrowserSession:
    return BrowserSession(
        row.id,
        row.person,
        row.created_ms,
        row.seen_ms,
        row.expires_ms,
        row.ends_ms,
        row.shown_ms,
        row.address,
        row.agent,
    )
