"""What the API tells everybody, kept for a moment: strangers take no work from control by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from mediaserver.http.problem_response import problem_response
from mediaserver.http.unix_http import Proxy

KEPT_S: Final = 1.0
"""Nothing of it changes while a server runs; a fault is not kept for longer either."""


class PublicAnswers:
    """Answers by path; who asks within `KEPT_S` of another gets the same."""

    def __init__(self, proxy: Proxy, monotonic: Callable[[], float]) -> None:
        self._proxy = proxy
        self._monotonic = monotonic
        self._kept: dict[str, tuple[float, asyncio.Task[web.Response]]] = {}

    async def answer(self, request: web.BaseRequest, client_address: str) -> web.Response:
        """Answer a request for what needs no key; its body is not read.

        Args:
            request: Of one of few paths: an answer is kept for each.
        """
        path = request.path
        if request.method not in ("GET", "HEAD"):
            allow = {"Allow": "GET, HEAD"}
            detail = f"{path} does not take {request.method}"
            return problem_response(405, "Method Not Allowed", detail, allow)
        now_s = self._monotonic()
        begun_s, task = self._kept.get(path, (0.0, None))
        if task is None or (task.done() and now_s - begun_s >= KEPT_S):
            # The same for everybody: nothing of who happens to ask goes along, no key, no query.
            plain = request.clone(method="GET", rel_url=path, headers={})
            task = asyncio.create_task(self._proxy.probe(plain, "control.sock", client_address))
            self._kept[path] = (now_s, task)
        kept = await asyncio.shield(task)
        return web.Response(status=kept.status, body=kept.body, headers=kept.headers.copy())
