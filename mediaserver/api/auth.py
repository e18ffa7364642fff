"""Small readings of requests that several rooms of the API share."""

from __future__ import annotations

from aiohttp import web

from mediaserver.http.problem import ApiError


def bearer(request: web.Request) -> str:
    """Return the bearer token of a request.

    Raises:
        ApiError: 401 when there is none.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(
            401,
            "Not authorised",
            "send the header Authorization: Bearer and the key",
            {"WWW-Authenticate": 'Bearer realm="vilokanam"'},
        )
    return token.strip()
