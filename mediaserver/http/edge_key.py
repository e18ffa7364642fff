"""What an edge of the operator's says of a request, and whether it may."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web

VIA_HEADER: Final = "X-Vilokanam-Via"
"""An edge's key, on all that it passes on: the address that it tells is believed. It opens no
media (`EDGE_HEADER`)."""
EDGE_HEADER: Final = "X-Vilokanam-Edge"
"""An edge's key: on its fills, and on its authorization requests."""


def has_edge_key(request: web.BaseRequest, header: str, edge_key: bytes) -> bool:
    """Return whether a header of a request is the edges' key; never where there is none."""
    given = request.headers.get(header) if edge_key else None
    if given is None:
        return False
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), edge_key)
