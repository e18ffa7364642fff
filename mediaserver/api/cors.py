"""Which pages of other origins may read the answers to a viewer's own requests.

Playlists, media and what a stream costs are open to every origin; renewals, top-ups, receipts and
sessions to those that the operator lists. The right is the token in the path, never a cookie: a
page of another origin gains nothing that it was not given, and this keeps it from being read there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from aiohttp import web

METHODS: Final = "GET, POST, DELETE, OPTIONS"
_PREFLIGHT: Final = {
    "Access-Control-Allow-Methods": METHODS,
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Max-Age": "7200",  # browsers keep it no longer
}


class Cors:
    """The operator's list."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Take ``server.cors_origins``."""
        self._origins = frozenset(origin.lower() for origin in origins)

    def allows(self, request: web.BaseRequest) -> bool:
        """Return whether a request is made by a page of a listed origin."""
        return request.headers.get("Origin", "").lower() in self._origins

    def preflight(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the answer to OPTIONS: to a preflight of a listed origin, that it may."""
        answer = web.Response(status=204, headers={"Allow": METHODS})
        if self.allows(request):
            answer.headers.update(_PREFLIGHT)
        return self.marked(request, answer)

    def marked(self, request: web.BaseRequest, answer: web.StreamResponse) -> web.StreamResponse:
        """Return an answer, readable by pages of listed origins."""
        answer.headers.add("Vary", "Origin")
        if self.allows(request):
            answer.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            answer.headers["Access-Control-Expose-Headers"] = "Retry-After"
        return answer
