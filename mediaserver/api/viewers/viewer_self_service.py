"""What viewers may do for themselves: ``session(s)``, ``top-up``, ``receipts``, ``settings``.

All below their token. HTTP processes forward these as they are; the token is verified here, and its
session is looked up in the book: who can check a token at an edge can forge one (rules 6). A viewer
may ask only so often, as each request writes to the book.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Final
from uuid import UUID

from aiohttp import web

from mediaserver import playback_token
from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.money import receipt_answers
from mediaserver.api.money.payment_orders import pay
from mediaserver.api.notice_page import is_person, refused_link
from mediaserver.api.streams.bars import hold_unbarred
from mediaserver.api.streams.rules import hold_place
from mediaserver.api.streams.stream_change import ARCHIVED
from mediaserver.api.streams.uninvited import UNINVITED
from mediaserver.api.viewers import players, sessions
from mediaserver.api.viewers.player_settings import settings_json
from mediaserver.api.viewers.tokens import mint_again, token_json
from mediaserver.api.viewers.viewers import deposit
from mediaserver.api.who import address
from mediaserver.errors import AccessDeniedError
from mediaserver.http.problem import ApiError
from mediaserver.payments import demo_button, orders
from mediaserver.people import guests, player_settings, takedowns
from mediaserver.people.service import Connection
from mediaserver.playback_token import Grant
from metering.book.records import SessionRecord, StreamRecord
from metering.errors import UnknownNameError
from metering.model.ledger import balance_and_debt
from metering.units import AccountId, Planck, top_up_address

REQUESTS_PER_MINUTE: Final = 20
"""A person clicks less; a program gains nothing by more."""
ACCOUNTS_MAX: Final = 100_000


class Allowance:
    """Counts requests of each account, or person, in the current minute; bounded."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[AccountId | str, int] = {}

    def hold(self, who: AccountId | str, now_ms: int) -> None:
        """Count one more request of somebody who is within their allowance.

        Raises:
            ApiError: 429 when it is one too many.
        """
        if not self._take(who, now_ms):
            raise ApiError(
                429,
                "Too many requests",
                f"at most {REQUESTS_PER_MINUTE} a minute; wait for the next one",
                {"Retry-After": "60"},
            )

    def _take(self, who: AccountId | str, now_ms: int) -> bool:
        minute = now_ms // 60_000
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(who, 0)
        is_full = not count and len(self._counts) >= ACCOUNTS_MAX
        if is_full or count >= REQUESTS_PER_MINUTE:
            return False
        self._counts[who] = count + 1
        return True


_WHY_OVER: Final = {
    sessions.OWNER: "this player was ended by its own account",
    sessions.OPERATOR: "this player was ended by who runs the stream or the server",
    UNINVITED: "the stream is by invitation now, and this account is not among its guests",
    ARCHIVED: "this stream was closed by its creator",
}
"""What viewers are told of a session that is over for good, by its reason."""
ALLOWANCE: Final = web.AppKey("allowance", Allowance)


def routes() -> list[web.RouteDef]:
    """Return the routes of viewers' own requests."""
    return [
        web.post("/w/{token}/{slug}/session", _session),
        web.delete("/w/{token}/{slug}/session", _leave),
        web.get("/w/{token}/{slug}/sessions", _sessions, allow_head=False),
        web.delete("/w/{token}/{slug}/sessions", _end_sessions),
        web.post("/w/{token}/{slug}/top-up", _top_up),
        web.get("/w/{token}/{slug}/receipts", _receipts, allow_head=False),
        web.get("/w/{token}/{slug}/settings", _settings, allow_head=False),
    ]


async def _session(request: web.Request) -> web.Response:
    """Mint again, for the same player: its session goes on, or another follows it."""
    shared = context.of(request)
    known, stream = await _granted(request, shared)
    referrer = await hold_place(request, stream)
    made, token = await mint_again(shared, known, stream, address(request))
    await players.keep_agent(request, made, referrer)
    shown = token_json(shared, made, token, stream)
    return web.json_response(
        {key: shown[key] for key in ("token", "path", "session", "expires_ms", "ends_ms")},
        status=HTTPStatus.CREATED,
    )


async def _leave(request: web.Request) -> web.Response:
    """Free the slot of a player who leaves; the same token takes it again while it is free."""
    shared = context.of(request)
    known, _ = await _granted(request, shared)
    async with shared.store() as store:
        is_live = await store.leave_session(known.account, known.session)
    return web.json_response({"left": is_live})


async def _sessions(request: web.Request) -> web.Response:
    shared = context.of(request)
    known, _ = await _granted(request, shared)
    return await sessions.listing(shared, known.account)


async def _end_sessions(request: web.Request) -> web.Response:
    """End the owner's sessions, of all streams, this one too; with ``?session=`` only that one."""
    shared = context.of(request)
    known, _ = await _granted(request, shared)
    only = request.query.get("session")
    return await sessions.end(shared, known.account, sessions.OWNER, only)


async def _top_up(request: web.Request) -> web.Response:
    shared = context.of(request)
    known, _ = await _granted(request, shared)
    planck = Planck(int(shared.settings.price.demo_top_up_planck))
    if not planck:
        raise ApiError(
            403,
            "No top-up here",
            "this server gives nothing away: price.demo_top_up_planck is 0",
            top_up_url=top_up_address(shared.settings.price.top_up_url, known.account),
        )
    if shared.escrow is not None:  # on a chain a deposit is made there
        key = f"demo-{secrets.token_hex(16)}"
        await deposit(shared, known.account, planck, key, "demo top-up")
    else:
        now_ms = shared.clock.now_ms()
        draft = shared.payments.draft(demo_button.NAME, None, known.account, None, None, now_ms)
        order = await shared.payments.write(lambda _, connection: orders.make(connection, draft))
        await pay(shared, order, "")
    viewer, spent = await shared.book.run(
        lambda book: (book.viewers.get(known.account), book.cuts.spent(known.account))
    )
    balance, debt = balance_and_debt(viewer.stayed, spent)
    return web.json_response({"balance": str(balance), "debt": str(debt)})


async def _receipts(request: web.Request) -> web.Response:
    """Return the receipts: for people as a page, for programs and with ``?file`` as the file."""
    shared = context.of(request)
    try:
        known, stream = await _granted(request, shared)
        return await receipt_answers.answer(request, known.account, stream)
    except AccessDeniedError as error:
        return refused_link(request, error)
    except ApiError as error:
        if not is_person(request):
            raise
        return receipt_answers.in_words(error, shared.settings.metering.cut_period_s)


async def _settings(request: web.Request) -> web.Response:
    shared = context.of(request)
    known, _ = await _granted(request, shared)
    kept = await shared.people.read(
        lambda connection: player_settings.of(connection, known.account)
    )
    return web.json_response(settings_json(kept))


async def _granted(request: web.Request, shared: Context) -> tuple[SessionRecord, StreamRecord]:
    """Return the session of a request's token, which is not over, and its stream."""
    now_ms = shared.clock.now_ms()
    grant = playback_token.verify(request.match_info["token"], shared.token_keys, now_ms // 1000)
    slug = request.match_info["slug"]
    try:
        stream = await shared.book.run(lambda book: book.streams.get(slug))
    except UnknownNameError as error:
        raise ApiError(404, "Not found", "no such stream") from error
    if stream.id != grant.stream and await _is_hidden(shared, stream, grant):
        raise ApiError(404, "Not found", "no such stream")
    if stream.id != grant.stream:
        raise ApiError(403, "Access denied", "the token is for another stream", reason="stream")
    request.app[ALLOWANCE].hold(grant.account, now_ms)
    known = await _known(shared, grant)
    if known is None:
        raise AccessDeniedError(403, "session")
    if not known.may_return(now_ms):
        await hold_unbarred(shared, known.account, stream.id)
        why = _WHY_OVER.get(known.reason or "", "the time of this link is over")
        if known.reason == takedowns.TAKEN_DOWN:
            why = await shared.people.read(lambda connection: _why_down(connection, stream.id))
        raise ApiError(403, "Access denied", why, reason="session", ended=known.reason)
    return known, stream


async def _is_hidden(shared: Context, stream: StreamRecord, grant: Grant) -> bool:
    """Return whether who has a token for another stream may not know of this one."""
    return not await shared.people.read(
        lambda connection: guests.may_watch(connection, stream.id, grant.account)
    )


def _why_down(connection: Connection, stream: UUID) -> str:
    """Return why a stream was taken down, which everybody is told at its address."""
    known = takedowns.held(connection, stream)
    if known is None:
        return "this stream was taken down for a while; come in again"
    return takedowns.words(known.reason, is_legal=known.is_legal)


async def _known(shared: Context, grant: Grant) -> SessionRecord | None:
    """Return the session of the book that a token names, None when there is no such."""
    try:
        known = await shared.book.run(lambda book: book.sessions.get(grant.session))
    except UnknownNameError:
        return None
    return known if (known.account, known.stream) == (grant.account, grant.stream) else None
