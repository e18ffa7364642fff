"""``POST /api/v1/streams/{slug}/join/token``: an operator's own JWT lets a viewer in.

Who signs is in ``[[watch.issuers]]``, what a token has to say in `people.viewer_tokens`. Each
subject of an issuer is an account that pays like any other. The same token is the same player of a
stream: shown again it goes on, and it ends with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from aiohttp import web

from mediaserver import log
from mediaserver.api import context, who
from mediaserver.api.auth import bearer
from mediaserver.api.context import Context
from mediaserver.api.streams.rules import hold_place
from mediaserver.api.viewers.join_stream import JOINS, hold_access
from mediaserver.api.viewers.limits import checked_limit
from mediaserver.api.viewers.players import keep_agent
from mediaserver.api.viewers.tokens import invite, mint_again, open_session, token_json
from mediaserver.errors import AccessDeniedError
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import viewer_tokens
from mediaserver.people.jwks import IssuerError, Jwks
from mediaserver.people.service import Connection
from mediaserver.people.settings import WatchIssuer
from mediaserver.people.viewer_tokens import ViewerGrant
from metering.book.book import Book
from metering.book.records import SessionRecord, StreamRecord
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId, SessionId, account_text

ISSUERS: Final = web.AppKey("watch_issuers", dict[str, Jwks])
BODY_CHARACTERS_MAX: Final = 2 * viewer_tokens.TOKEN_CHARACTERS_MAX
"""What is longer than a token is told so."""
ENDS_MIN_S: Final = 1
"""A token that ends within this second opens nothing that could be fetched."""

_log = log.get("people")


@dataclass(frozen=True, slots=True)
class ShownToken:
    """Body with a token; left out where the header ``Authorization: Bearer`` has it."""

    token: str = field(default="", metadata={"characters_max": BODY_CHARACTERS_MAX})


def routes() -> list[web.RouteDef]:
    """Return the route of operators' own tokens."""
    return [web.post("/api/v1/streams/{slug}/join/token", _join)]


def issuers(shared: Context) -> dict[str, Jwks]:
    """Return the keys of the issuers of the configuration, by what they call themselves."""
    return {item.issuer: Jwks(shared.clock) for item in shared.settings.watch.issuers}


async def _join(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    wanted = await request_records.read(request, ShownToken)
    grant = await _granted(request, slug, _token(request, wanted))
    stream = await shared.book.run(lambda book: book.streams.get(slug))
    own_limit = await checked_limit(shared, grant.limit, "the token's limit")
    account = await _account(request, grant)
    request.app[JOINS].hold(account, shared.clock.now_ms())
    referrer = await hold_place(request, stream)
    await hold_access(shared, account, stream)
    known = await _known(shared, grant, account, stream)
    if known is None:
        auth = shared.settings.auth
        life_s = (grant.ends_ms - shared.clock.now_ms()) // 1000
        if life_s < ENDS_MIN_S:
            raise who.wrong("token", "the token does not hold: it is over")
        await invite(request, account, stream)
        made, token = await open_session(
            request,
            "viewer.join",
            account,
            stream,
            ttl_s=min(auth.token_ttl_s, life_s),
            life_s=min(auth.session_life_s, life_s),
            number=grant.session,
            own_limit=own_limit,
        )
    else:
        made, token = await mint_again(shared, known, stream, who.address(request), own_limit)
    await keep_agent(request, made, referrer)
    return web.json_response(
        {
            **token_json(shared, made, token, stream),
            "account": account_text(account),
            "stream": stream.slug,
        },
        status=HTTPStatus.CREATED,
    )


def _token(request: web.Request, wanted: ShownToken) -> str:
    """Return the token of a request.

    Raises:
        ApiError: 401 when it is written as none, 400 when there are two.
    """
    if wanted.token and "Authorization" in request.headers:
        raise ApiError(
            400, "Two tokens", "the request has a token in its body and in a header: send one"
        )
    token = wanted.token or bearer(request)
    if not viewer_tokens.is_token(token):
        raise who.wrong("token", "this is no signed token (JWT) of at most 8,192 characters")
    return token


async def _granted(request: web.Request, slug: str, token: str) -> ViewerGrant:
    """Return what a token grants.

    Raises:
        ApiError: 401 when it does not hold, 503 while its issuer's keys cannot be had.
    """
    shared = context.of(request)
    issuer = viewer_tokens.issuer_of(token, shared.settings.watch.issuers)
    if issuer is None:
        raise who.wrong("token", "the token is of no issuer in watch.issuers")
    await shared.people.load("joserfc.jwt", "joserfc.jwk")
    try:
        keys, place = request.app[ISSUERS][issuer.issuer], _place(issuer)
        claims = await keys.claims(token, issuer.algorithms, place)
        return viewer_tokens.granted(claims, token, issuer, slug, shared.clock.now_ms())
    except InvalidValueError as error:
        raise who.wrong("token", str(error)) from error
    except IssuerError as error:
        # Its words may name a file of this machine: they are for the operator alone.
        _log.warning("people.issuer.unavailable", issuer=issuer.issuer, reason=str(error))
        raise ApiError(
            503,
            "Not available now",
            "the keys of the token's issuer cannot be had now; try again",
            {"Retry-After": "5"},
        ) from error


def _place(issuer: WatchIssuer) -> str:
    return issuer.jwks_url or issuer.jwks_file


async def _account(request: web.Request, grant: ViewerGrant) -> AccountId:
    """Return the account of a token's subject, made when it is first seen."""
    shared = context.of(request)
    now_ms = shared.clock.now_ms()

    def find(book: Book) -> AccountId | None:
        try:
            return book.viewers.get(grant.viewer).account
        except UnknownNameError:
            return None

    def make(book: Book, _: Connection) -> tuple[AccountId, bool]:
        # Another request of theirs may have made it meanwhile.
        held = find(book)
        if held is not None:
            return held, False
        return book.viewers.create(grant.viewer, None, now_ms)[0].account, True

    known = await shared.book.run(find)
    if known is not None:
        return known
    account, _ = await who.audited(
        request,
        "viewer.create",
        lambda made: f"viewer:{account_text(made[0])}",
        make,
        after=lambda _: {"by": "token"},
        is_change=lambda made: made[1],
    )
    return account


async def _known(
    shared: Context, grant: ViewerGrant, account: AccountId, stream: StreamRecord
) -> SessionRecord | None:
    """Return the session of a token that was shown before, None when it was not.

    Raises:
        AccessDeniedError: 403: its number is another player's.
    """
    number = SessionId(grant.session)
    try:
        known = await shared.book.run(lambda book: book.sessions.get(number))
    except UnknownNameError:
        return None
    if (known.account, known.stream) != (account, stream.id):
        raise AccessDeniedError(403, "session")
    return known
