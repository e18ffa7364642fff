"""WHIP as an HTTP process answers it: keys first, bodies next, the answer readable by browsers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from mediaserver.api.access import Access
from mediaserver.http.client_address import Client
from mediaserver.http.problem import ApiError
from mediaserver.http.problem_response import error_response, problem_response
from mediaserver.http.unix_http import Proxy
from mediaserver.ingest import whip

Forward = Callable[[web.BaseRequest, str, Client, int], Awaitable[web.StreamResponse]]
"""Hands a request to the process behind a socket, with a body of at most so many bytes."""


class WhipFront:
    """Hands offers to control, and requests of sessions to the workers that hold them."""

    def __init__(
        self, access: Access, proxy: Proxy, forward: Forward, offer_bytes_max: int
    ) -> None:
        self._access = access
        self._proxy = proxy
        self._forward = forward
        self._offer_bytes_max = offer_bytes_max

    async def endpoint(self, request: web.BaseRequest, slug: str) -> web.StreamResponse:
        """Answer a request to a stream's endpoint."""
        if request.method == "OPTIONS":
            return await whip.endpoint_options(request)
        if request.method == "GET":
            return await whip.endpoint_get(request)
        if request.method != "POST":
            detail = f"/{slug}/whip does not take {request.method}"
            allow = {"Allow": "GET, OPTIONS, POST"}
            return _readable(problem_response(405, "Method Not Allowed", detail, allow))
        client = self._access.client(request)
        try:
            await self._access.publisher(request, client, slug)
            answer = await self._forward(request, "control.sock", client, self._offer_bytes_max)
        except ApiError as error:
            answer = error_response(error)
        return _readable(answer)

    async def session(self, request: web.BaseRequest, worker: str) -> web.StreamResponse:
        """Answer a request to a WHIP session."""
        socket = f"worker-{worker}.sock"
        if not self._proxy.exists(socket):
            detail = "the session is over; POST a new offer"
            return _readable(problem_response(404, "No such session", detail))
        client = self._access.client(request)
        try:
            return _readable(await self._session(request, socket, client))
        except ApiError as error:
            return _readable(error_response(error))

    async def _session(
        self, request: web.BaseRequest, socket: str, client: Client
    ) -> web.StreamResponse:
        answer: web.StreamResponse | None = None
        if request.can_read_body:
            # The worker knows the key of its session, which outlives a rotation: a GET asks it.
            answer = await self._proxy.probe(request, socket, client.certain_text)
        if answer is None or answer.status < HTTPStatus.BAD_REQUEST:
            answer = await self._forward(request, socket, client, self._offer_bytes_max)
        if answer.status == HTTPStatus.UNAUTHORIZED:
            await self._access.wrong("stream", client)
        return answer


def _readable(answer: web.StreamResponse) -> web.StreamResponse:
    for name, value in whip.CORS_HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer
