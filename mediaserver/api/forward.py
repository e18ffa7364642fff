"""Requests that another process answers, over unix sockets: the API, WHIP."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

import aiohttp
from aiohttp import web

from mediaserver.problem import problem

BODY_BYTES_MAX: Final = 1 << 20
"""No request that is forwarded has a reason to be larger: SDP offers and small JSON."""
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
_FORWARDED_FOR: Final = "X-Forwarded-For"
"""Its last entry is who we saw; the bound on pending WHIP sessions goes by it."""


class Forwarder:
    """One HTTP client per unix socket, made when first used."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._clients: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.close()

    async def forward(self, request: web.BaseRequest, socket_name: str) -> web.StreamResponse:
        """Return what the process behind ``run/<socket_name>`` answers to this request.

        413 when the body is larger than `BODY_BYTES_MAX`, 503 when nobody answers.
        """
        body = await _read(request)
        if body is None:
            return _answer(413, "Too large", f"the body is over {BODY_BYTES_MAX} bytes")
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
        forwarded = [*request.headers.getall(_FORWARDED_FOR, []), request.remote or "unknown"]
        headers[_FORWARDED_FOR] = ", ".join(forwarded)
        try:
            async with self._client(socket_name).request(
                request.method,
                f"http://local{request.raw_path}",
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

    def _client(self, socket_name: str) -> aiohttp.ClientSession:
        client = self._clients.get(socket_name)
        if client is None:
            client = self._clients[socket_name] = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(str(self._run_dir / socket_name)),
                timeout=aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S),
                auto_decompress=False,
            )
        return client


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
