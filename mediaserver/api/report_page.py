"""``/{slug}/report``: a form without any script, and its way to control."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from html import escape
from typing import Final

from aiohttp import web

from mediaserver.api.access import Access
from mediaserver.api.notice_page import Notice, is_person, notice_response, page_response
from mediaserver.hls.addresses import Address
from mediaserver.http.client_address import Client
from mediaserver.http.problem_response import problem_response
from mediaserver.people.reports import TEXT_MAX

BODY_BYTES_MAX: Final = 16 << 10
"""1,000 characters of four bytes, escaped, and room."""
Forward = Callable[[web.BaseRequest, str, Client, int], Awaitable[web.StreamResponse]]


async def report(
    request: web.BaseRequest, address: Address, access: Access, forward: Forward
) -> web.StreamResponse:
    """Return the form, or what control makes of it."""
    if request.method == "POST":
        client = access.client(request)
        answered = await forward(request, "control.sock", client, BODY_BYTES_MAX)
        is_page = answered.content_type == "text/html" or not is_person(request)
        return answered if is_page else _in_words(answered)
    if request.method not in ("GET", "HEAD"):
        detail = f"{request.path} does not take {request.method}"
        return problem_response(405, "Method Not Allowed", detail, {"Allow": "GET, HEAD, POST"})
    if not is_person(request):
        detail = 'post {"text": "what is wrong"} as application/json to report this stream'
        return problem_response(406, "A form for people", detail)
    slug = escape(address.place.slug)
    body = (
        f"<h1>Report {slug}</h1>"
        "<p>Say what is wrong with this stream. The people who run this server read it; "
        "whose stream it is does not learn who wrote.</p>"
        '<form method="post"><label>What is wrong'
        f'<textarea name="text" rows="6" maxlength="{TEXT_MAX}" required></textarea></label>'
        '<button class="button" type="submit">Report it</button></form>'
        f'<p><a href="./" rel="noreferrer">Back to {slug}</a></p>'
    )
    return page_response(200, f"<title>Report {slug}</title>", body, has_form=True)


def _in_words(answered: web.StreamResponse) -> web.StreamResponse:
    """Return for a person why nothing was reported."""
    body = answered.body if isinstance(answered, web.Response) else None
    try:
        detail = str(json.loads(bytes(body))["detail"]) if isinstance(body, bytes) else ""
    except (ValueError, KeyError, TypeError):
        detail = ""
    line = detail or "The server did not take it."
    return notice_response(answered.status, Notice("It was not reported", (f"{line}.",)))
