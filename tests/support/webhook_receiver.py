"""A server that takes webhooks, with faults on demand, and a book whose facts are told to it."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook

from mediaserver.webhooks.settings import WebhooksSettings, WebhookTarget

SECRET = "whsec_" + base64.b64encode(b"w" * 32).decode()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def taken(_: web.Request) -> web.StreamResponse:
    return web.Response()


class Receiver:
    """Keeps what came with a valid signature, in order, refused or not.

    Attributes:
        answer: Makes the answer to each request.
        came: Id, decoded body and status of each.
        tried: How many requests came, signed or not.
    """

    def __init__(self, answer: Answer = taken, secret: str = SECRET) -> None:
        self.answer = answer
        self.came: list[tuple[str, dict[str, Any], int]] = []
        self.headers: list[dict[str, str]] = []
        self.tried = 0
        self._check = Webhook(secret)
        self._news = asyncio.Condition()
        self._port = 0

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/hook?for=us"

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.tried += 1
        body = self._check.verify(await request.read(), dict(request.headers))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = await self.answer(request)
        async with self._news:
            self.came.append((request.headers["webhook-id"], body, answer.status))
            self._news.notify_all()
        return answer

    def taken(self) -> list[tuple[str, dict[str, Any]]]:
        """Return what was taken with 200, each once by its id, in the order of the first time."""
        first = {name: body for name, body, status in reversed(self.came) if status == 200}
        return [
            (name, first[name]) for name in dict.fromkeys(n for n, _, s in self.came if s == 200)
        ]

    def kinds(self) -> list[str]:
        return [body["type"] for _, body in self.taken()]

    async def until(self, condition: Callable[[Self], bool]) -> None:
        async with asyncio.timeout(15), self._news:
            await self._news.wait_for(lambda: condition(self))


def telling(folder: Path, *receivers: Receiver, **changed: Any) -> WebhooksSettings:
    """Return settings whose targets are these, called r0, r1, ..."""
    secret = folder / "hook.secret"
    secret.write_text(SECRET + "\n")
    targets = tuple(
        WebhookTarget(f"r{index}", receiver.url, str(secret))
        for index, receiver in enumerate(receivers)
    )
    fields = {"targets": targets, "allowed_networks": ("127.0.0.0/8",), **changed}
    return WebhooksSettings(**fields)


def data(body: dict[str, Any]) -> str:
    """Return an event's body as text, to look for secrets in it."""
    return json.dumps(body)
