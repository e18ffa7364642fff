"""``/api/v1/me/players``: the players that one's own account pays for now, and how to end one."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.people.me import person_of
from mediaserver.api.streams.own_streams import names_of
from mediaserver.api.viewers import sessions
from mediaserver.api.viewers.own_account import known_account
from mediaserver.people import players
from mediaserver.playback_token import ViewerSession
from metering.book.records import SessionRecord
from metering.errors import StoreUnavailableError, UnknownNameError
from metering.units import AccountId, SessionId, session_text


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own players."""
    return [
        web.get("/api/v1/me/players", _list),
        web.delete("/api/v1/me/players/{player}", _end),
    ]


async def keep_agent(request: web.Request, made: ViewerSession, referrer: str) -> None:
    """Note the browser that was given a token of a session, and the page that it was on."""
    shared = context.of(request)
    agent, now_ms = request.headers.get("User-Agent", ""), shared.clock.now_ms()
    await shared.people.write(
        lambda _, connection: players.keep(
            connection, made.account, made.session, agent, now_ms, referrer
        )
    )


async def _list(request: web.Request) -> web.Response:
    shared, account = context.of(request), await known_account(request, person_of(request))
    if account is None:
        return web.json_response({"players": []})
    now_ms = shared.clock.now_ms()
    known = await shared.book.run(
        lambda book: book.sessions.of_account(account, now_ms, sessions.SHOWN_MAX)
    )
    playing = [item for item in known if item.ended_ms is None and now_ms < item.expires_ms]
    agents = await shared.people.read(lambda connection: players.agents(connection, account))
    claimed = await _claimed_ms(shared, account, playing)
    names = await names_of(request, {item.stream for item in playing})
    return web.json_response(
        {
            "players": [
                {
                    "player": session_text(item.session),
                    **names[item.stream],
                    "agent": agents.get(item.session, ""),
                    "began_ms": item.began_ms,
                    "seen_ms": claimed.get(item.session),
                    "ends_ms": item.ends_ms,
                }
                for item in playing
            ]
        }
    )


async def _claimed_ms(
    shared: Context, account: AccountId, playing: Sequence[SessionRecord]
) -> dict[SessionId, int]:
    """Return when each player last claimed, of none while the store is away."""
    claimed: dict[SessionId, int] = {}
    with contextlib.suppress(StoreUnavailableError):
        async with shared.store() as store:
            for item in playing:
                at_ms = await store.claimed_ms(account, item.session)
                if at_ms is not None:
                    claimed[item.session] = at_ms
    return claimed


async def _end(request: web.Request) -> web.Response:
    account = await known_account(request, person_of(request))
    only = request.match_info["player"]
    if account is None:
        raise UnknownNameError(f"you have no player {only[:32]!r}")
    return await sessions.end_audited(request, account, sessions.OWNER, only)
