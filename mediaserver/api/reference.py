"""The description of the API, for programs: ``/api/v1/openapi.json`` and ``/llms.txt``.

Both say the same to everybody and hold no secret; the front keeps them for a moment.
"""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Final

from aiohttp import web

from mediaserver.api import context

LIFE_S: Final = 300
"""It changes with the version of the server alone."""


def routes() -> list[web.RouteDef]:
    """Return the routes of the description."""
    return [
        web.get("/api/v1/openapi.json", _schema),
        web.get("/llms.txt", _llms),
    ]


async def _schema(_: web.Request) -> web.Response:
    return _kept(await asyncio.to_thread(_document), "application/json")


async def _llms(request: web.Request) -> web.Response:
    public_url = context.of(request).settings.public_url
    return _kept(await asyncio.to_thread(_llms_text, public_url), "text/plain")


@functools.cache
def _document() -> bytes:
    # Some 200 records that nothing else in control needs: made when somebody asks.
    from mediaserver.api.operations import openapi  # noqa: PLC0415

    return json.dumps(openapi.document(), separators=(",", ":")).encode()


def _llms_text(public_url: str) -> bytes:
    from mediaserver.api.operations import llms  # noqa: PLC0415 -- as in `_document`

    return llms.text(public_url).encode()


def _kept(body: bytes, media: str) -> web.Response:
    headers = {"Cache-Control": f"public, max-age={LIFE_S}"}
    return web.Response(body=body, content_type=media, charset="utf-8", headers=headers)
