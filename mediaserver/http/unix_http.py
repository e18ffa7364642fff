"""HTTP between our processes, over unix sockets: the one client and the one reverse proxy.

The command line has a blocking client of its own (mediaserver/cli/client.py): it starts in a moment
because it loads no event loop, and it speaks to servers over the network too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

from mediaserver.http.client_address import FORWARDED, FORWARDED_FOR
from mediaserver.http.problem_response import problem_response

BODIES_HELD_BYTES_MAX: Final = 32 << 20
"""Of all requests of one process together: some 500 of the largest at once."""
BODY_WAIT_S: Final = 10.0
"""OBS gives the whole exchange 8 s; a slower client holds a connection for nothing."""
ANSWER_TIMEOUT_S: Final = 15.0
_NOT_RELAYED: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "expect",
        FORWARDED.lower(),
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-vilokanam-stream",
    }
)
"""Headers of one connection (RFC 9110, 7.6.1), those that the next server writes itself, and what
control alone may write to a worker."""


def client(socket: Path, timeout_s: float) -> aiohttp.ClientSession:
    """Return an HTTP client of the process at a unix socket; the caller closes it.

    Args:
        socket: Path of the socket; nothing need listen there yet.
        timeout_s: For one whole exchange.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(socket)),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        auto_decompress=False,
        # One client speaks for many browsers: a cookie of one is never another's.
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def relay(
    session: aiohttp.ClientSession,
    request: web.BaseRequest,
    body: bytes,
    headers: Mapping[str, str],
    *,
    answer_bytes_max: int | None = None,
    method: str = "",
) -> web.Response:
    """Return what the process behind `session` answers to a request, unchanged.

    Args:
        request: Its method, address and headers are sent as they came.
        headers: Added, in place of what came under these names.
        answer_bytes_max: Bound of the answer's declared length; None: no bound.
        method: In place of the request's own; empty: that.

    Raises:
        OSError: The process cannot be reached or the answer is too large.
        aiohttp.ClientError: The exchange broke off.
        TimeoutError: It took longer than the client's time-out.
    """
    left_out = _NOT_RELAYED | {name.lower() for name in headers}
    sent = {k: v for k, v in request.headers.items() if k.lower() not in left_out}
    async with session.request(
        method or request.method,
        _url(request),
        data=body,
        headers=sent | dict(headers),
        # Without these the library adds its own, and a publisher that sends none has ours.
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        allow_redirects=False,
    ) as answer:
        size = answer.content_length or 0
        if answer_bytes_max is not None and size > answer_bytes_max:
            raise OSError(f"an answer of {size} bytes is too large")
        kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _NOT_RELAYED]
        response = web.Response(status=answer.status, body=await answer.read())
        response.headers.extend(kept)
        return response


class Proxy:
    """Forwards requests to our processes; one client per socket, made when first used.

    Every request that is forwarded has `FORWARDED_FOR`, and in it one address, the client's: a
    request with it was not made by a process of ours.

    Attributes:
        bodies_refused: Bodies that found no room among those held.
    """

    def __init__(
        self,
        run_dir: Path,
        body_wait_s: float = BODY_WAIT_S,
        held_bytes_max: int = BODIES_HELD_BYTES_MAX,
    ) -> None:
        """Reach the sockets in `run_dir`.

        Args:
            body_wait_s: For the whole of a body.
            held_bytes_max: Of all bodies together.
        """
        self.bodies_refused = 0
        self._run_dir = run_dir
        self._body_wait_s = body_wait_s
        self._held_bytes_max = held_bytes_max
        self._held_bytes = 0
        self._clients: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._clients.values():
            await session.close()

    async def forward(
        self, request: web.BaseRequest, socket_name: str, client_address: str, body_bytes_max: int
    ) -> web.StreamResponse:
        """Return what the process behind ``run/<socket_name>`` answers to this request.

        413 when the body is larger than `body_bytes_max`, 408 when it does not come in time, 400
        when it breaks off, 503 when too many are held already or nobody answers.

        Args:
            client_address: Who asks.
        """
        if (request.content_length or 0) > body_bytes_max:
            return _too_large(body_bytes_max)
        held = _Held()
        try:
            async with asyncio.timeout(self._body_wait_s):
                answer = await self._read(request, held, body_bytes_max)
            if answer is None:
                answer = await self._relay(request, socket_name, held.body(), client_address)
        except TimeoutError:
            answer = problem_response(
                408, "Too slow", f"the body took over {self._body_wait_s:.0f} s"
            )
        except (web.RequestPayloadError, ConnectionError):
            answer = problem_response(400, "Broken off", "the body is not whole")
        finally:
            self._held_bytes -= held.size_bytes
        return answer

    async def probe(
        self, request: web.BaseRequest, socket_name: str, client_address: str
    ) -> web.Response:
        """Return what a GET of the same address answers: whether the body is worth reading."""
        return await self._relay(request, socket_name, b"", client_address, "GET")

    async def _read(
        self, request: web.BaseRequest, held: _Held, body_bytes_max: int
    ) -> web.Response | None:
        async for chunk in request.content.iter_any():
            size = len(chunk)
            if held.size_bytes + size > body_bytes_max:
                return _too_large(body_bytes_max)
            if self._held_bytes + size > self._held_bytes_max:
                self.bodies_refused += 1
                return problem_response(
                    503,
                    "Not available",
                    "the server is taking in too much at once; retry",
                    {"Retry-After": "1"},
                )
            self._held_bytes += size
            held.size_bytes += size
            held.chunks.append(chunk)
        return None

    async def _relay(
        self,
        request: web.BaseRequest,
        socket_name: str,
        body: bytes,
        client_address: str,
        method: str = "",
    ) -> web.Response:
        await self._forget_gone()
        headers = {FORWARDED_FOR: client_address}
        try:
            return await relay(self._client(socket_name), request, body, headers, method=method)
        except (aiohttp.ClientError, TimeoutError):
            return problem_response(
                503,
                "Not available",
                f"{_process_name(socket_name)} does not answer; retry",
                {"Retry-After": "1"},
            )

    def exists(self, socket_name: str) -> bool:
        """Return whether a process has this socket."""
        return (self._run_dir / socket_name).exists()

    async def _forget_gone(self) -> None:
        """Close the clients of workers that are gone: each stream's show has one of its own."""
        for name in [name for name in self._clients if not self.exists(name)]:
            await self._clients.pop(name).close()

    def _client(self, socket_name: str) -> aiohttp.ClientSession:
        if socket_name not in self._clients:
            self._clients[socket_name] = client(self._run_dir / socket_name, ANSWER_TIMEOUT_S)
        return self._clients[socket_name]


def _url(request: web.BaseRequest) -> URL:
    """Return the address as it came, not normalized.

    ``/api/../internal/workers`` was let through as what begins with ``/api/``; it must not arrive
    as something else.
    """
    asked = request.rel_url
    return URL.build(
        scheme="http",
        host="local",
        path=asked.raw_path,
        query_string=asked.raw_query_string,
        encoded=True,
    )


@dataclass(slots=True)
class _Held:
    """What has come of one body."""

    chunks: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def body(self) -> bytes:
        return b"".join(self.chunks)


def _too_large(bytes_max: int) -> web.Response:
    return problem_response(413, "Too large", f"the body is over {bytes_max} bytes")


def _process_name(socket_name: str) -> str:
    return "control" if socket_name == "control.sock" else "the worker of this session"
