"""Control's application: the API behind its permissions, viewers' own requests beside it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.api import context, reference, webhooks, who
from mediaserver.api.context import Context
from mediaserver.api.money import (
    auto_top_up,
    bad_seconds,
    chain,
    earnings,
    ledger,
    payments,
    payouts,
    refunds,
    statements,
    top_ups,
    withdrawals,
)
from mediaserver.api.people import (
    closing,
    keys,
    mail_sign_in,
    me,
    oidc_sign_in,
    people,
    sign_in,
    wallet_sign_in,
)
from mediaserver.api.problems import Handler, as_problems
from mediaserver.api.streams import (
    audience,
    bars,
    guests,
    named_prices,
    passes,
    redeem,
    reports,
    rules,
    splits,
    stream_change,
    streams,
    takedowns,
)
from mediaserver.api.viewers import (
    history,
    join_stream,
    kept_calls,
    letters,
    limits,
    own_earnings,
    own_escrow,
    own_passes,
    player_settings,
    players,
    session_list,
    sessions,
    token_join,
    tokens,
    viewer_self_service,
    viewers,
    wallet_payer,
)
from mediaserver.http import request_records
from mediaserver.http.client_address import FORWARDED_FOR
from mediaserver.http.problem import ApiError

INTERNAL_PREFIX: Final = "/internal/"
"""Requests between processes of this server; nothing from outside is forwarded to it."""


ROOMS: Final = (
    *(streams, viewers, sessions, tokens, ledger, chain, viewer_self_service),
    *(sign_in, wallet_sign_in, mail_sign_in, oidc_sign_in, me, people, keys, closing),
    *(join_stream, limits, top_ups, refunds, payments, withdrawals, token_join),
    *(earnings, payouts, statements, bad_seconds, guests, redeem, named_prices, stream_change),
    *(history, players, player_settings, letters, wallet_payer, auto_top_up),
    *(passes, own_passes, splits, own_earnings),
    own_escrow,
    *(audience, session_list, bars, rules, takedowns, reports, webhooks, reference),
)
"""Whose routes they are."""


def application(shared: Context) -> web.Application:
    """Return the application; control adds what only it can answer (workers, WHIP, health)."""
    app = web.Application(
        middlewares=[as_problems, _own_only, who.permitted],
        client_max_size=request_records.BODY_BYTES_MAX,
    )
    app[context.CONTEXT] = shared
    app[oidc_sign_in.ISSUERS] = oidc_sign_in.issuers(shared)
    app[viewer_self_service.ALLOWANCE] = viewer_self_service.Allowance()
    app[token_join.ISSUERS] = token_join.issuers(shared)
    app[join_stream.JOINS] = viewer_self_service.Allowance()
    app[own_escrow.KEPT] = kept_calls.KeptCalls()
    app[own_escrow.PREPARING] = viewer_self_service.Allowance()
    app[redeem.PASSWORDS] = redeem.Passwords()
    app[reports.REPORTERS] = reports.reporters()
    for room in ROOMS:
        app.router.add_routes(room.routes())
    who.require_rows(app.router)
    return app


@web.middleware
async def _own_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(INTERNAL_PREFIX) and FORWARDED_FOR in request.headers:
        raise ApiError(404, "Not found", f"there is nothing at {request.path}")
    return await handler(request)
