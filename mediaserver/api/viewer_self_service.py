"""What viewers may do for themselves: ``session``, ``top-up``, ``receipts`` below their token.

HTTP processes forward these as they are; the token is verified here. A viewer may ask only so
often, as each request writes to the book.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Final

from aiohttp import web

from mediaserver import playback_token
from mediaserver.api import context, ledger
from mediaserver.api.context import Context
from mediaserver.api.tokens import open_session, token_json
from mediaserver.api.viewers import deposit
from mediaserver.http.problem import ApiError
from mediaserver.playback_token import Grant
from metering.book.records import StreamRecord
from metering.errors import InvalidValueError, UnknownNameError
from metering.units import AccountId, Planck, top_up_address

REQUESTS_PER_MINUTE: Final = 20
"""A person clicks less; a program gains nothing by more."""
ACCOUNTS_MAX: Final = 100_000


class Allowance:
    """Counts requests of each account in the current minute; bounded."""

    def __init__(self) -> None:
        self._minute = 0
        self._counts: dict[AccountId, int] = {}

    def take(self, account: AccountId, now_ms: int) -> bool:
        """Return True while the account is within its allowance, and count one more."""
        minute = now_ms // 60_000
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
        count = self._counts.get(account, 0)
        is_full = not count and len(self._counts) >= ACCOUNTS_MAX
        if is_full or count >= REQUESTS_PER_MINUTE:
            return False
        self._counts[account] = count + 1
        return True


ALLOWANCE: Final = web.AppKey("allowance", Allowance)


def routes() -> list[web.RouteDef]:
    """Return the routes of viewers' own requests."""
    return [
        web.post("/w/{token}/{slug}/session", _session),
        web.post("/w/{token}/{slug}/top-up", _top_up),
        web.get("/w/{token}/{slug}/receipts", _receipts, allow_head=False),
    ]


async def _session(request: web.Request) -> web.Response:
    """Mint again: this player's session ends, and a new one of the same viewer begins."""
    shared = context.of(request)
    grant, stream = await _granted(request, shared)
    now_ms = shared.clock.now_ms()
    if await _is_live(shared, grant):
        # One player has one session: else its old one would push out another player's.
        async with shared.store() as store:
            await store.end_session(grant.account, grant.session, "renewed")
        await shared.book.run(lambda book: book.sessions.end(grant.session, "renewed", now_ms))
    made, token = await open_session(
        shared, grant.account, stream, shared.settings.auth.token_ttl_s
    )
    shown = token_json(shared, made, token, stream)
    return web.json_response(
        {key: shown[key] for key in ("token", "path", "session", "expires_ms")},
        status=HTTPStatus.CREATED,
    )


async def _top_up(request: web.Request) -> web.Response:
    shared = context.of(request)
    grant, _ = await _granted(request, shared)
    planck = Planck(int(shared.settings.price.demo_top_up_planck))
    if not planck:
        raise ApiError(
            403,
            "No top-up here",
            "this server gives nothing away: price.demo_top_up_planck is 0",
            top_up_url=top_up_address(shared.settings.price.top_up_url, grant.account),
        )
    key = f"demo-{secrets.token_hex(16)}"
    await deposit(shared, grant.account, planck, key, "demo top-up")
    viewer, spent = await shared.book.run(
        lambda book: (book.viewers.get(grant.account), book.cuts.spent(grant.account))
    )
    return web.json_response({"balance": str(viewer.deposited - viewer.withdrawn - spent)})


async def _receipts(request: web.Request) -> web.Response:
    shared = context.of(request)
    grant, stream = await _granted(request, shared)
    return await ledger.receipt_answer(shared, grant.account, stream)


async def _granted(request: web.Request, shared: Context) -> tuple[Grant, StreamRecord]:
    now_ms = shared.clock.now_ms()
    grant = playback_token.verify(request.match_info["token"], shared.token_keys, now_ms // 1000)
    slug = request.match_info["slug"]
    try:
        stream = await shared.book.run(lambda book: book.streams.get(slug))
    except UnknownNameError as error:
        raise ApiError(404, "Not found", "no such stream") from error
    if stream.id != grant.stream:
        raise ApiError(403, "Access denied", "the token is for another stream", reason="stream")
    if not request.app[ALLOWANCE].take(grant.account, now_ms):
        raise ApiError(
            429,
            "Too many requests",
            f"at most {REQUESTS_PER_MINUTE} a minute; wait for the next one",
            {"Retry-After": "60"},
        )
    return grant, stream


async def _is_live(shared: Context, grant: Grant) -> bool:
    try:
        known = await shared.book.run(lambda book: book.sessions.get(grant.session))
    except (UnknownNameError, InvalidValueError):
        return False
    return known.ended_ms is None
