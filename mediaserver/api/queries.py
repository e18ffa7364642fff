"""Numbers of addresses and queries."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.http.problem import ApiError

LIMIT: Final = 100
"""Rows of one answer, where nobody asks for another number."""


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """Return a number of a query, from 1 to `most`.

    Raises:
        ApiError: 422 naming it.
    """
    text = request.query.get(name)
    return default if text is None else whole(text, name, most)


def page_limit(request: web.Request, most: int) -> int:
    """Return how many rows a query asks for with ``limit``.

    Raises:
        ApiError: 422 naming it.
    """
    return number(request, "limit", LIMIT, most)


def whole(text: str, name: str, most: int) -> int:
    """Return a whole number from 1 to `most`.

    Raises:
        ApiError: 422 naming it.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or not 1 <= int(text) <= most:
        raise ApiError(422, "Invalid query", f"{name}: {text[:20]} is not in 1 to {most}")
    return int(text)
