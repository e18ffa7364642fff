"""Control's application: the admin API behind its bearer token, viewers' own requests beside it."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

from mediaserver.api import body, context, ledger, own, streams, tokens, viewers
from mediaserver.api.context import Context
from mediaserver.api.problems import ApiError, Handler, as_problems
from mediaserver.api.webs import bearer

ADMIN_PREFIX: Final = "/api/"
_PUBLIC: Final = frozenset({"/api/v1/operator"})
"""A viewer needs the operator's public key to check a receipt, and has no admin token."""


def application(shared: Context) -> web.Application:
    """Return the application; control adds what only it can answer (workers, WHIP, health)."""
    app = web.Application(
        middlewares=[as_problems, _admin_only], client_max_size=body.BODY_BYTES_MAX
    )
    app[context.CONTEXT] = shared
    app[own.ALLOWANCE] = own.Allowance()
    for room in (streams, viewers, tokens, ledger, own):
        app.router.add_routes(room.routes())
    return app


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
