"""What an HTTP process answers to the others of this server, on its own unix socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from mediaserver.hls.audience import Audience
from mediaserver.ipc.audience import AUDIENCE_PATH, encode


def own_answers(
    measure: Callable[[], str], audience: Audience
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Return the handler: who plays now, and on any other path the metrics."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == AUDIENCE_PATH:
            return web.Response(body=encode(audience.reading()), content_type="application/json")
        return web.Response(text=measure())

    return answer
