"""``/api/v1/tokens``: the right of one player, as a session row, an open session and a token.

A session has an end, fixed when it is first minted (rules 6): a token that is minted again is of
the same session, and ends by then.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver import playback_token
from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.streams.bars import check_unbarred, hold_unbarred
from mediaserver.api.streams.decisions import may_watch
from mediaserver.api.streams.takedowns import check_up, hold_up
from mediaserver.api.viewers.joins import OpenJoin, join_for
from mediaserver.api.viewers.limits import apply_limits, session_limit
from mediaserver.api.who import address, audited
from mediaserver.errors import AccessDeniedError
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, persons
from mediaserver.people.service import Connection
from mediaserver.people.visibility import Way
from mediaserver.playback_token import TTL_MAX_S, TTL_MIN_S, Grant, ViewerSession
from metering.book.book import Book
from metering.book.records import RETURNING, SessionRecord, StreamRecord
from metering.book.stream_rows import no_stream
from metering.errors import IdempotencyConflictError
from metering.store.client import Store
from metering.store.records import SessionGrant
from metering.units import AccountId, Planck, SessionId, account_text, session_text

LIVE: Final = "live"
"""State of a session that may claim."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """Body of a token; with `ttl_s` its session ends with it, else ``[auth]`` says when."""

    viewer: str
    stream: str
    ttl_s: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of tokens."""
    return [web.post("/api/v1/tokens", _mint)]


async def _mint(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewToken)
    ttl_s, auth = wanted.ttl_s, shared.settings.auth
    if ttl_s is not None and not TTL_MIN_S <= ttl_s <= TTL_MAX_S:
        fault = f"ttl_s: {ttl_s} is not in {TTL_MIN_S} to {TTL_MAX_S}"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    viewer, stream = await shared.book.run(
        lambda book: (book.viewers.get(wanted.viewer), book.streams.get(wanted.stream))
    )
    if not stream.is_enabled:
        raise ApiError(
            409,
            "Stream closed",
            f"{stream.slug} is closed to viewers, so a link to it opens nothing; open it first: "
            f"vilokanam streams open {stream.slug}",
        )
    await invite(request, viewer.account, stream)
    made, token = await open_session(
        request,
        "viewer.link.mint",
        viewer.account,
        stream,
        ttl_s=auth.token_ttl_s if ttl_s is None else ttl_s,
        life_s=auth.session_life_s if ttl_s is None else ttl_s,
        is_theirs=False,
    )
    return web.json_response(
        {
            **token_json(shared, made, token, stream),
            "account": account_text(viewer.account),
            "stream": stream.slug,
        },
        status=HTTPStatus.CREATED,
    )


async def invite(request: web.Request, account: AccountId, stream: StreamRecord) -> None:
    """Make a guest of who is given a link to a stream by invitation: its creator sees them."""
    shared = context.of(request)
    now_ms = shared.clock.now_ms()
    if await shared.people.read(
        lambda connection: guests.may_watch(connection, stream.id, account)
    ):
        return
    name = guests.of_account(account)
    await audited(
        request,
        "stream.guest.add",
        f"stream:{stream.id}",
        lambda _, connection: guests.add(connection, stream.id, name, Way.MINTED, now_ms),
        after=lambda _: {"guest": name},
    )


async def mint_again(
    shared: Context,
    known: SessionRecord,
    stream: StreamRecord,
    client: str,
    own_limit: Planck | None = None,
) -> tuple[ViewerSession, str]:
    """Return the session of a player who asks again, and another token; its end stays.

    It is the same session while that is live. One that another player replaced is followed by a new
    one, which goes on with what was spent of the limit (rules 4, "Pace").

    Args:
        client: Address that the player comes from.
        own_limit: What the viewer allows the session to spend, in all; None: what they did.

    Raises:
        AccessDeniedError: 403: it was ended by its owner, the operator or its end.
        StoreUnavailableError: Redis is away; try again.
        ApiError: On a chain: they have not joined, or their caps are too low.
        ApiError: The operator's server does not allow it.
    """
    if not known.may_return(shared.clock.now_ms()):
        raise _over()
    own_limit = await may_watch(
        shared, known.account, stream, client, own_limit, known_limit=known.own_limit
    )
    # That may have taken seconds.
    known = await shared.book.run(lambda book: book.sessions.get(known.session))
    await hold_up(shared, stream.id)
    await hold_unbarred(shared, known.account, stream.id)
    join = await join_for(shared, known.account, stream)
    now_ms = shared.clock.now_ms()
    if not known.may_return(now_ms):
        raise _over()
    is_live, reason = known.ended_ms is None, "joined"
    async with shared.store() as store:
        if is_live and known.join == join.number:
            made = _player(shared, known, join, known.session)
            try:
                await shared.book.run(lambda book: _add(book, made, own_limit))
            except IdempotencyConflictError as error:
                raise _over() from error
            await _let_in(shared, store, made, join)
            reason = await store.session_state(made.account, made.session)
            if reason == LIVE:
                return made, _token(shared, made)
            if reason not in RETURNING:
                raise _over()

        # It ended, or it counts under another join now: another id, the same player.
        made = _player(shared, known, join, _new_number())
        try:
            await shared.book.run(
                lambda book: book.sessions.follow(known.session, made, reason, own_limit)
            )
        except IdempotencyConflictError as error:
            raise _over() from error
        await store.end_session(known.account, known.session, reason)
        await _let_in(shared, store, made, join, follows=known.session)
    return made, _token(shared, made)


async def open_session(
    request: web.Request,
    action: str,
    account: AccountId,
    stream: StreamRecord,
    *,
    ttl_s: int,
    life_s: int,
    number: int | None = None,
    own_limit: Planck | None = None,
    is_theirs: bool = True,
) -> tuple[ViewerSession, str]:
    """Return a new session, written in the book and open in the store, and its token.

    Args:
        action: What the audit log calls it.
        life_s: After this the session ends.
        number: Its number; None: a random one.
        own_limit: What the viewer allows it to spend; None for no limit of its own.
        is_theirs: It is the viewer who asks, from the request's address.

    Raises:
        StoreUnavailableError: The row is in the book; the store learns of it when recovered.
        ApiError: On a chain: they have not joined, or their caps are too low.
        UnknownNameError: It is by invitation, and they are no guest.
        ApiError: They are barred, or the operator's server does not allow it.
    """
    shared = context.of(request)
    client = address(request) if is_theirs else ""
    own_limit = await may_watch(shared, account, stream, client, own_limit)
    # On a chain the join bounds the session: its caps, and when it ends.
    join = await join_for(shared, account, stream)
    now_ms = shared.clock.now_ms()
    made = playback_token.new_session(
        _new_number() if number is None else number,
        account,
        stream.id,
        now_ms,
        ttl_s,
        ends_ms=now_ms + life_s * 1000,
        join=join.number,
        till_ms=join.till_ms,
    )

    def add_seen(book: Book, connection: Connection) -> None:
        # Together, so that who is made no guest at this moment has no session left behind.
        if not guests.may_watch(connection, stream.id, account):
            raise no_stream(stream.slug)
        check_up(connection, stream.id)
        check_unbarred(connection, account, stream.id, now_ms)
        persons.require_payer_open(connection, account)
        _add(book, made, own_limit)

    # Book before store: a session that only the store had would be lost by a recovery.
    async with shared.store() as store:
        await audited(
            request,
            action,
            f"viewer:{account_text(account)}",
            add_seen,
            after=lambda _: {"stream": str(stream.id), "session": session_text(made.session)},
        )
        await _let_in(shared, store, made, join)
    return made, _token(shared, made)


async def _let_in(
    shared: Context,
    store: Store,
    made: ViewerSession,
    join: OpenJoin,
    *,
    follows: SessionId | None = None,
) -> None:
    """Let a player of the book claim; the store gets the newest balance and limits before that."""
    await shared.apply_deposits(store, made.account)
    limits = await apply_limits(shared, store, made.account)
    ended = await store.open_session(
        SessionGrant(
            made.account,
            made.stream.bytes,
            made.session,
            made.join,
            await session_limit(shared, limits, made.session),
            made.expires_ms,
            is_capped=join.is_capped,
        ),
        shared.settings.auth.max_sessions,
        follows,
    )

    # The store replaced the oldest of too many sessions.
    if ended is not None:
        now_ms = shared.clock.now_ms()
        await shared.book.run(lambda book: book.sessions.end(ended, "replaced", now_ms))

    # It may have been ended while the store did not know it yet.
    known = await shared.book.run(lambda book: book.sessions.get(made.session))
    if not known.may_return(shared.clock.now_ms()):
        await store.end_session(made.account, made.session, known.reason or "expired")
        raise _over()


def _player(shared: Context, known: SessionRecord, join: OpenJoin, number: int) -> ViewerSession:
    """Return what a player is given who asks again."""
    return playback_token.new_session(
        number,
        known.account,
        known.stream,
        shared.clock.now_ms(),
        shared.settings.auth.token_ttl_s,
        ends_ms=known.ends_ms,
        join=join.number,
        till_ms=join.till_ms,
    )


def _new_number() -> int:
    return secrets.randbits(playback_token.SESSION_ID_BITS) or 1


def _over() -> AccessDeniedError:
    return AccessDeniedError(403, "session")


def _token(shared: Context, made: ViewerSession) -> str:
    grant = Grant(made.account, made.stream, made.session, made.expires_ms // 1000)
    return playback_token.mint(grant, shared.token_keys)


def _add(book: Book, made: ViewerSession, own_limit: Planck | None) -> None:
    book.sessions.add(
        made.session,
        made.account,
        made.stream,
        made.join,
        made.created_ms,
        made.expires_ms,
        made.ends_ms,
        own_limit,
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
        "ends_ms": made.ends_ms,
        "watch_url": watch_url,
        "hls_url": f"{watch_url}index.m3u8",
    }
