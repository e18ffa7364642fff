"""Control's application: the admin API behind its bearer token, viewers' own requests beside it."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from mediaserver.api import chain, context, ledger, streams, tokens, viewer_self_service, viewers
from mediaserver.api.auth import bearer
from mediaserver.api.context import Context
from mediaserver.api.problems import Handler, as_problems
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.http.unix_http import FORWARDED_FOR

ADMIN_PREFIX: Final = "/api/"
INTERNAL_PREFIX: Final = "/internal/"
"""Requests between processes of this server; nothing from outside is forwarded to it."""
_PUBLIC: Final = frozenset({"/api/v1/operator"})
"""A viewer needs the operator's public key to check a receipt, and has no admin token."""


def application(shared: Context) -> web.Application:
    """Return the application; control adds what only it can answer (workers, WHIP, health)."""
    app = web.Application(
        middlewares=[as_problems, _own_only, _admin_only],
        client_max_size=request_records.BODY_BYTES_MAX,
    )
    app[context.CONTEXT] = shared
    app[viewer_self_service.ALLOWANCE] = viewer_self_service.Allowance()
    for room in (streams, viewers, tokens, ledger, chain, viewer_self_service):
        app.router.add_routes(room.routes())
    return app


@web.middleware
async def _own_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(INTERNAL_PREFIX) and FORWARDED_FOR in request.headers:
        raise ApiError(404, "Not found", f"there is nothing at {request.path}")
    return await handler(request)


@web.middleware
async def _admin_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(ADMIN_PREFIX) and request.path not in _PUBLIC:
        given = bearer(request).encode()
        if not hmac.compare_digest(given, context.of(request).admin_token.encode()):
            raise ApiError(
                401,
                "Not authorised",
                "this is not the admin token; it is in the file auth.admin_token_file",
                {"WWW-Authenticate": 'Bearer realm="vilokanam"'},
            )
    return await handler(request)
