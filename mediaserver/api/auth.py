"""Small readings of requests that several rooms of the API share."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.http.problem import ApiError
from mediaserver.people.key_format import MARK

ADMIN_PREFIX: Final = "/api/"
HOOKS_PREFIX: Final = "/hooks/payments/"
"""Providers of payments tell us of them here: signed, without a key or cookie, for no page."""
PUBLIC: Final = frozenset({"/api/v1/operator", "/api/v1/openapi.json", "/llms.txt"})
"""The same for everybody, signed in or not: a viewer checks a receipt with the operator's key, a
program reads what the API is."""
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="vilokanam"'}
NOT_ADMIN: Final = "this is not the admin token; it is in the file auth.admin_token_file"
WRONG_HEADER: Final = "X-Vilokanam-Wrong"
"""On an answer of control, with a kind: a secret was wrong, and the front lets its answer wait."""
NOT_LIKE_A_KEY: Final = (
    "this is no key of a program: one is vk_, 12 hexadecimal digits, _ and 43 characters, as "
    "`vilokanam keys make` printed it; is a part of it missing?"
)
NOT_A_KEY: Final = "there is no such key, or it has ended: ask the operator for a new one"
NOT_STREAM_KEY: Final = (
    "this is not the stream's key; make a new one with `vilokanam streams rotate-key`"
)


def unlike_key(key: str) -> tuple[str, str]:
    """Return what a bearer is that no key of a program looks like: its kind, and why not."""
    return ("key", NOT_LIKE_A_KEY) if key.startswith(MARK) else ("admin", NOT_ADMIN)


def bearer(request: web.BaseRequest) -> str:
    """Return the bearer token of a request.

    Raises:
        ApiError: 401 when there is none, or more than one: what one process judged, the next would
            not take.
    """
    given = request.headers.getall("Authorization", [])
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(
            401,
            "Not authorised",
            "send the header Authorization: Bearer and the key, once",
            CHALLENGE,
        )
    return token.strip()
