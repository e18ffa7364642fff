"""The browsers that players were minted for, so that their owner can tell one from another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, delete, insert, select

from mediaserver.people.browser_sessions import agent_text
from mediaserver.people.schema import players
from metering.units import AccountId, SessionId, session_text

KEPT_MS: Final = 8 * 86_400_000
"""No session lives longer than a week (auth.session_life_s)."""


_AT_ONCE: Final = 400
"""Sessions in one query: older SQLite takes 999 values."""


def keep(  # noqa: PLR0917 -- one row
    connection: Connection,
    account: AccountId,
    session: SessionId,
    agent: str,
    now_ms: int,
    referrer: str = "",
) -> None:
    """Note which browser was given a token of a session; what is old of the account goes.

    Args:
        referrer: Host of the page that it was on, see `place_rules`; empty: none was named.
    """
    name = session_text(session)
    connection.execute(
        delete(players).where(
            players.c.account == bytes(account),
            (players.c.session == name) | (players.c.minted_ms < now_ms - KEPT_MS),
        )
    )
    connection.execute(
        insert(players).values(
            session=name,
            account=bytes(account),
            agent=agent_text(agent),
            minted_ms=now_ms,
            referrer=referrer,
        )
    )


def agents(connection: Connection, account: AccountId) -> dict[SessionId, str]:
    """Return the browser's own word of each session of an account for which one is known."""
    query = select(players.c.session, players.c.agent).where(players.c.account == bytes(account))
    return {SessionId(int(row.session, 16)): row.agent for row in connection.execute(query)}


def referrers(connection: Connection, sessions: Iterable[SessionId]) -> dict[SessionId, str]:
    """Return the page that each of these sessions was last minted on, of those that are known."""
    names = list(map(session_text, sessions))
    found: dict[SessionId, str] = {}
    for begin in range(0, len(names), _AT_ONCE):
        query = select(players.c.session, players.c.referrer).where(
            players.c.session.in_(names[begin : begin + _AT_ONCE])
        )
        found |= {
            SessionId(int(row.session, 16)): row.referrer for row in connection.execute(query)
        }
    return found
