"""Problems as responses of aiohttp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from mediaserver.http.problem import CONTENT_TYPE, ApiError, problem


def problem_response(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> web.Response:
    """Return the response of an HTTP error; see `mediaserver.http.problem.problem`."""
    return web.Response(
        status=status,
        body=problem(status, title, detail, **extra),
        content_type=CONTENT_TYPE,
        headers=headers,
    )


def error_response(error: ApiError) -> web.Response:
    """Return the response of an API error; no cache keeps it."""
    headers = {"Cache-Control": "no-store", **error.headers}
    return problem_response(error.status, error.title, error.detail, headers, **error.extra)
