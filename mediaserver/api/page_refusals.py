"""Why a stream's address shows no page: for people in words, for programs as a problem."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from mediaserver.api.notice_page import Notice, is_person, notice_response
from mediaserver.http.problem_response import problem_response

_AGAIN_S: Final = 3
"""A server starts in about five seconds."""


class PageRefusedError(Exception):
    """There is nothing to watch at this address, or not for this person, or not now."""

    def __init__(self, status: int, reason: str, notice: Notice, **extra: object) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.notice = notice
        self.extra = extra


def is_program(request: web.BaseRequest) -> bool:
    """Return whether the asker wants data."""
    return not is_person(request) and "json" in request.headers.get("Accept", "").lower()


def starting() -> PageRefusedError:
    """Return what is said before control was heard of."""
    lines = ("This page opens by itself in a moment.", "You pay nothing while you wait.")
    notice = Notice("The server is starting", lines, again_s=_AGAIN_S, is_resumed=True)
    return PageRefusedError(503, "starting", notice)


def refusal(request: web.BaseRequest, refused: PageRefusedError) -> web.Response:
    """Return it as a page for people, as a problem for programs."""
    notice = refused.notice
    retry_s = _AGAIN_S if refused.status == 503 else 0
    if is_person(request):
        # What a stream is and costs is what this address says to a newcomer, and to the service
        # that previews it; to a program that wants the media it is a refusal.
        status = 200 if refused.status == 401 else refused.status
        return notice_response(status, notice, retry_s)
    headers = {"Cache-Control": "no-store", "Vary": "Accept", "Access-Control-Allow-Origin": "*"}
    if retry_s:
        headers["Retry-After"] = str(retry_s)
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="vilokanam"'  # RFC 9110, 15.5.2
    detail = " ".join((notice.price and f"{notice.price}.", *notice.lines)).strip()
    extra = {key: value for key, value in refused.extra.items() if value != ""}
    return problem_response(
        refused.status, notice.title, detail, headers, reason=refused.reason, **extra
    )
