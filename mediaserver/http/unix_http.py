"""Requests that another process answers, over unix sockets: the API, WHIP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Self

import aiohttp
from aiohttp import web
from yarl import URL

from mediaserver.http.problem import problem

BODY_BYTES_MAX: Final = 1 << 20
"""No request that is forwarded has a reason to be larger: SDP offers and small JSON."""
BODY_WAIT_S: Final = 10.0
"""OBS gives the whole exchange 8 s; who sends a byte a minute holds a connection for nothing."""
ANSWER_TIMEOUT_S: Final = 15.0
_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "transfer-encoding",
        "upgrade",
        "content-length",
        "content-encoding",
        "date",
        "expect",
        "server",
        "host",
    }
)
FORWARDED_FOR: Final = "X-Forwarded-For"
"""Its last entry is who we saw; the bound on pending WHIP sessions goes by it. On every request
that is forwarded, so who has it did not come from a process of ours."""


class Forwarder:
    """One HTTP client per unix socket that is there, made when first used."""

    def __init__(self, run_dir: Path, body_wait_s: float = BODY_WAIT_S) -> None:
        """Reach the sockets in `run_dir`; wait `body_wait_s` for the whole of a body."""
        self._run_dir = run_dir
        self._body_wait_s = body_wait_s
        self._clients: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.close()

    async def forward(self, request: web.BaseRequest, socket_name: str) -> web.StreamResponse:
        """Return what the process behind ``run/<socket_name>`` answers to this request.

        413 when the body is larger than `BODY_BYTES_MAX`, 408 when it does not come in time,
        400 when it breaks off, 503 when nobody answers.
        """
        try:
            async with asyncio.timeout(self._body_wait_s):
                body = await _read(request)
        except TimeoutError:
            return _answer(408, "Too slow", f"the body took over {self._body_wait_s:.0f} s")
        except (web.RequestPayloadError, ConnectionError):
            return _answer(400, "Broken off", "the body is not whole")
        if body is None:
            return _answer(413, "Too large", f"the body is over {BODY_BYTES_MAX} bytes")
        await self._forget_gone()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        forwarded = [*request.headers.getall(FORWARDED_FOR, []), request.remote or "unknown"]
        headers[FORWARDED_FOR] = ", ".join(forwarded)
        try:
            async with self._client(socket_name).request(
                request.method,
                _url(request),
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as answer:
                kept = [(k, v) for k, v in answer.headers.items() if k.lower() not in _HOP]
                response = web.Response(status=answer.status, body=await answer.read())
                response.headers.extend(kept)
                return response
        except (aiohttp.ClientError, TimeoutError):
            response = _answer(503, "Not available", f"{_who(socket_name)} does not answer; retry")
            response.headers["Retry-After"] = "1"
            return response

    async def text(self, socket_name: str, path: str) -> str | None:
        """Return the text of a small GET, None when nobody answers."""
        try:
            async with self._client(socket_name).get(f"http://local{path}") as answer:
                return await answer.text() if answer.ok else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    def exists(self, socket_name: str) -> bool:
        """Return whether a process has this socket."""
        return (self._run_dir / socket_name).exists()

    async def _forget_gone(self) -> None:
        """Close the clients of workers that are gone: each stream's show has one of its own."""
        for name in [name for name in self._clients if not self.exists(name)]:
            await self._clients.pop(name).close()

    def _client(self, socket_name: str) -> aiohttp.ClientSession:
        client = self._clients.get(socket_name)
        if client is None:
            client = self._clients[socket_name] = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._run_dir / socket_name)),
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
                auto_decompress=False,
            )
        return client


def _url(request: web.BaseRequest) -> URL:
    """Return the address as it came, not put in order.

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


async def _read(request: web.BaseRequest) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _answer(status: int, title: str, detail: str) -> web.Response:
    return web.Response(
        status=status, body=problem(status, title, detail), content_type="application/problem+json"
    )


def _who(socket_name: str) -> str:
    return "control" if socket_name == "control.sock" else "the worker of this session"
