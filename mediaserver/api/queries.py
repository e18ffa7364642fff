"""Numbers of addresses and queries."""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from mediaserver.http.problem import ApiError

_AGED: Final = re.compile(r"(\d{1,16})-([0-9a-zA-Z_]{1,32})", re.ASCII)
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


def aged_cursor(request: web.Request) -> tuple[int, str] | None:
    """Return when the row was made, Unix ms, behind which a page begins, and its id.

    Raises:
        ApiError: 422: ``before`` is not what a page answered.
    """
    text = request.query.get("before")
    if text is None:
        return None
    match = _AGED.fullmatch(text)
    if match is None:
        raise ApiError(
            422, "Invalid query", f"before: {text[:40]} is not what a page answered as next_before"
        )
    return int(match[1]), match[2]


def whole(text: str, name: str, most: int) -> int:
    """Return a whole number from 1 to `most`.

    Raises:
        ApiError: 422 naming it.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or not 1 <= int(text) <= most:
        raise ApiError(422, "Invalid query", f"{name}: {text[:20]} is not in 1 to {most}")
    return int(text)
