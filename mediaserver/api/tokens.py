"""``/api/v1/tokens``: the right of one player, as a session row, an open session and a token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver import playback_token
from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.joins import join_for
from mediaserver.api.viewers import units
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.playback_token import Grant, ViewerSession
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.store.records import SessionGrant
from metering.units import AccountId, account_text, session_text

TTL_MIN_S: Final = 60
TTL_MAX_S: Final = 7 * 86400
"""The bounds of auth.token_ttl_s."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """Body of a token; `ttl_s` left out is ``auth.token_ttl_s``."""

    viewer: str
    stream: str
    ttl_s: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of tokens."""
    return [web.post("/api/v1/tokens", _mint)]


async def _mint(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewToken)
    ttl_s = wanted.ttl_s
    if ttl_s is None:
        ttl_s = shared.settings.auth.token_ttl_s
    if not TTL_MIN_S <= ttl_s <= TTL_MAX_S:
        fault = f"ttl_s: {ttl_s} is not in {TTL_MIN_S} to {TTL_MAX_S}"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    viewer, stream = await shared.book.run(
        lambda book: (book.viewers.get(wanted.viewer), book.streams.get(wanted.stream))
    )
    made, token = await open_session(shared, viewer.account, stream, ttl_s)
    return web.json_response(
        {
            **token_json(shared, made, token, stream),
            "account": account_text(viewer.account),
            "stream": stream.slug,
        },
        status=HTTPStatus.CREATED,
    )


async def open_session(
    shared: Context, account: AccountId, stream: StreamRecord, ttl_s: int
) -> tuple[ViewerSession, str]:
    """Return a new session, written in the book and open in the store, and its token.

    Raises:
        StoreUnavailableError: The row is in the book; the store learns of it when recovered.
        ApiError: On a chain: they have not joined, or their caps are too low.
    """
    # On a chain the join bounds the session: its caps, and when it ends.
    join = await join_for(shared, account, stream)
    now_ms = shared.clock.now_ms()
    made = playback_token.new_session(
        secrets.randbits(playback_token.SESSION_ID_BITS) or 1,
        account,
        stream.id,
        now_ms,
        ttl_s,
        join=join.number,
        till_ms=join.till_ms,
    )
    price = shared.settings.price

    # Book before store: a session that only the store had would be lost by a recovery. The store
    # gets the newest balance and limits before the first claim.
    async with shared.store() as store:
        await shared.book.run(lambda book: _add(book, made))
        await shared.apply_deposits(store, account)
        await store.set_limits(
            account,
            units(shared, int(price.stream_limit_planck)),
            units(shared, int(price.day_limit_planck)),
        )
        ended = await store.open_session(
            SessionGrant(
                account,
                stream.id.bytes,
                made.session,
                made.join,
                units(shared, int(price.session_limit_planck)),
                made.expires_ms,
                is_capped=join.is_capped,
            ),
            shared.settings.auth.max_sessions,
        )

    # The store replaced the oldest of too many sessions.
    if ended is not None:
        await shared.book.run(lambda book: book.sessions.end(ended, "replaced", now_ms))
    grant = Grant(account, stream.id, made.session, made.expires_ms // 1000)
    return made, playback_token.mint(grant, shared.token_keys)


def _add(book: Book, made: ViewerSession) -> None:
    book.sessions.add(
        made.session, made.account, made.stream, made.join, made.created_ms, made.expires_ms
    )


def token_json(
    shared: Context, made: ViewerSession, token: str, stream: StreamRecord
) -> dict[str, Any]:
    """Return a minted token as the API shows it."""
    path = f"/w/{token}/{stream.slug}/"
    watch_url = shared.settings.public_url + path
    return {
        "token": token,
        "path": path,
        "session": session_text(made.session),
        "expires_ms": made.expires_ms,
        "watch_url": watch_url,
        "hls_url": f"{watch_url}index.m3u8",
    }
