"""The two cookies of the API: a browser's session, and the challenge that it is answering.

Over HTTPS they carry the prefix that binds them to this host (RFC 6265bis, 4.1.3.2); on
``http://localhost`` browsers would not take that, and they go without. Media never reads one.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.people.relying_party import origin
from mediaserver.settings.records import Settings

SESSION: Final = "vilokanam"
TRY: Final = "vilokanam-try"
"""Held while somebody signs in: a challenge is for the browser that asked for it."""
VALUE_CHARACTERS_MAX: Final = 100


def own_origin(settings: Settings) -> str:
    """Return the origin of our pages."""
    return origin(settings.public_url)


def is_secure(settings: Settings) -> bool:
    """Return whether people come over HTTPS."""
    return settings.public_url.startswith("https://")


def cookie_name(name: str, settings: Settings) -> str:
    """Return a cookie's name as browsers have it."""
    return f"__Host-{name}" if is_secure(settings) else name


def cookie(request: web.BaseRequest, name: str, settings: Settings) -> str:
    """Return the value of a cookie of ours, empty when there is none."""
    value = request.cookies.get(cookie_name(name, settings), "")
    return value if len(value) <= VALUE_CHARACTERS_MAX else ""


def has_session(request: web.BaseRequest) -> bool:
    """Return whether a browser says that it is signed in."""
    return not request.cookies.keys().isdisjoint({SESSION, f"__Host-{SESSION}"})


def set_cookie(
    response: web.Response, name: str, value: str, life_s: int, settings: Settings
) -> None:
    """Give a browser a cookie that scripts cannot read, for `life_s` seconds."""
    response.set_cookie(
        cookie_name(name, settings),
        value,
        max_age=life_s,
        path="/",
        secure=is_secure(settings),
        httponly=True,
        samesite="Lax",
    )


def dropped_cookie(name: str, settings: Settings) -> str:
    """Return the value of ``Set-Cookie`` that takes a cookie from a browser.

    Browsers take a cookie with the host's prefix as one only where it is `Secure`.
    """
    response = web.Response()
    drop_cookie(response, name, settings)
    return response.cookies[cookie_name(name, settings)].OutputString()


def drop_cookie(response: web.Response, name: str, settings: Settings) -> None:
    """Take a cookie from a browser."""
    set_cookie(response, name, "", 0, settings)
