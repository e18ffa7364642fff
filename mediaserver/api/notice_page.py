"""A page for a person who cannot watch: what is at the address, why not, and what to do about it.

Whole in one response: no script of the player, no asset, so that it shows while a server starts and
after an upgrade. Programs get the same as application/problem+json; `watch_page` decides which.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from aiohttp import web

from mediaserver.errors import AccessDeniedError
from mediaserver.http.problem import ApiError
from mediaserver.http.problem_response import error_response

_STYLE: Final = (
    ":root{color-scheme:dark;font:16px/1.5 system-ui,sans-serif;color:#f3efe8;background:#0a0b0e}"
    "*{box-sizing:border-box}body{margin:0;min-height:100dvh;display:grid;place-items:center;"
    "grid-template-columns:minmax(0,1fr);"
    "padding:1.5rem;background:radial-gradient(60rem 36rem at 78% -12%,#f0b35a17,transparent 70%),"
    "#0a0b0e}main{width:100%;max-width:34rem;text-align:center}svg{width:5.5rem;fill:none;"
    "stroke:#f0b35a;stroke-width:2.5;stroke-linecap:round}svg circle{fill:#f0b35a;stroke:none}"
    "h1{margin:1rem 0 .4rem;font-size:1.6rem;line-height:1.25;overflow-wrap:anywhere}"
    "p{margin:.5rem 0;color:#a9a59d}.price{margin-top:1.2rem;color:#f3efe8;font-size:1.15rem}"
    ".state{font-weight:600}.state.live{color:#ff7a7e}.button{display:inline-block;"
    "margin:1.2rem .3rem .4rem;padding:.75rem 1.6rem;border:0;border-radius:999px;font:inherit;"
    "background:#f0b35a;color:#1d1305;font-weight:600;text-decoration:none;cursor:pointer}"
    ".quiet{background:#ffffff22;color:#f3efe8}.button:disabled{opacity:.6}a{color:#f0b35a}"
    "label{display:block;margin:1rem 0 0;color:#a9a59d}select,input,textarea{font:inherit;"
    "color:#f3efe8;background:#1a1c22;"
    "border:1px solid #ffffff33;border-radius:.5rem;padding:.4rem .6rem}"
    ".error{color:#ff9a9d}textarea{display:block;width:100%;margin-top:.4rem}"
    "table{width:100%;margin:1.2rem 0;border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "font-size:.9rem}td,th{padding:.5rem .3rem;border-bottom:1px solid #ffffff22;text-align:right}"
    "td:first-child,th:first-child{text-align:left}.scroll{overflow-x:auto}"
    ".key{overflow-wrap:anywhere;font-size:.8rem}"
    "@media(max-width:30rem){body{padding:1.5rem .75rem}table{font-size:.78rem}td,th{padding:.5rem "
    ".2rem}td:first-child,th:first-child{display:none}}"
    ":focus-visible{outline:2px solid #f0b35a;outline-offset:3px}"
)
_SELF, _NOBODY = "'self'", "'none'"
_EYE: Final = (
    '<svg viewBox="0 0 96 48" aria-hidden="true"><path d="M4 24C18 8 33 3 48 3s30 5 44 21C78 40 '
    '63 45 48 45S18 40 4 24z"/><circle cx="48" cy="24" r="13"/></svg>'
)
BAD_LINKS: Final = {
    "malformed": (
        "This link is damaged",
        "A part of it is missing or changed: open it again from where you got it.",
    ),
    "key": (
        "This link has ended",
        "The server's keys were changed since it was made. Ask for a new one where you got it.",
    ),
    "signature": (
        "This link is not from here",
        "This server did not make it, or it was changed. Ask for a new one where you got it.",
    ),
    "expired": ("This link has expired", "Ask for a new one where you got it."),
    "stream": (
        "This link is for another stream",
        "It opens only that one. Ask for a link for this stream where you got it.",
    ),
}
"""By the reason that the token was refused for."""
KEPT_LINK: Final = "vilokanam:link:"
"""Name in a tab's sessionStorage, with the slug behind it: the path with the token that the watch
page took out of the address bar (web/app/link.ts)."""
_RETURN: Final = (
    "(function(){try{if(/^#(watch$|guest=)/.test(location.hash))return;"
    "var s=location.pathname.split('/')[1],p=sessionStorage.getItem("
    f"'{KEPT_LINK}'+s);"
    "if(p&&p.indexOf('/w/')===0)location.replace(p)}catch(e){}})()"
)
"""Back to the link that this tab came with: a reload of the page, whose address is the bare one."""
_FORGET: Final = (
    "(function(){try{sessionStorage.removeItem("
    f"'{KEPT_LINK}'+location.pathname.split('/')[3])"
    "}catch(e){}})()"
)
"""A link that does not work is not gone back to."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a person reads.

    Attributes:
        title: The heading.
        lines: Paragraphs below it.
        state: A short word on the stream, empty when it says nothing.
        price: What a second, a minute and an hour cost; empty: not shown.
        link: Address and label of a button; None: no button.
        card: ``<title>`` and Open Graph elements, as HTML; empty: the title alone.
        again_s: The page asks again after this long; 0: never.
        join: What the script at `join_script` needs: names and values of data attributes.
        join_script: Address of the script that adds the way in; empty: none.
        is_resumed: True: a tab that was watching goes back to its own link.
        report: The stream that the page is of and may be reported; empty: none.
        is_link_good: False: a link that this tab keeps is forgotten, as it does not work.
    """

    title: str
    lines: Sequence[str] = ()
    state: str = ""
    price: str = ""
    link: tuple[str, str] | None = None
    card: str = ""
    again_s: int = 0
    join: Sequence[tuple[str, str]] = ()
    join_script: str = ""
    is_resumed: bool = False
    is_link_good: bool = False
    report: str = ""


def notice_response(status: int, notice: Notice, retry_after_s: int = 0) -> web.Response:
    """Return the page with its status."""
    script = "" if notice.is_link_good else _FORGET
    if notice.is_resumed:
        script = _RETURN
    response = page_response(status, _head(notice), _body(notice), script, notice.join_script)
    if retry_after_s:
        response.headers["Retry-After"] = str(retry_after_s)
    return response


def refused_link(request: web.BaseRequest, error: AccessDeniedError) -> web.Response:
    """Return why a link is refused, to people in words and to programs as a problem."""
    if not is_person(request):
        return error_response(
            ApiError(error.status, "Access denied", str(error), reason=error.reason)
        )
    over = ("This link has ended", "Ask for a new one where you got it.")
    title, text = BAD_LINKS.get(error.reason, over)
    return notice_response(error.status, Notice(title, (text,)))


def page_response(
    status: int,
    head: str,
    body: str,
    script: str = "",
    module: str = "",
    *,
    has_form: bool = False,
) -> web.Response:
    """Return a page whose only script and style are its own; no cache keeps it.

    Args:
        has_form: Whether a form of it is sent to us.
        module: Address of a script of ours, which speaks to the API.
    """
    sources = [source_hash(script)] if script else []
    sources += ["'self'"] if module else []
    runs = f"script-src {' '.join(sources)}; " if sources else ""
    runs += "connect-src 'self'; " if module else ""
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {source_hash(_STYLE)}; {runs}"
            f"base-uri 'none'; form-action {_SELF if has_form else _NOBODY}; "
            "frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><meta name="robots" content="noindex">'
        f"{head}<style>{_STYLE}</style></head><body><main>{body}</main>"
        f"{f'<script>{script}</script>' if script else ''}{_module(module)}</body></html>\n"
    )
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def is_person(request: web.BaseRequest) -> bool:
    """Return whether the asker wants to read: a browser names HTML, programs do not."""
    return "text/html" in request.headers.get("Accept", "").lower()


def card(title: str, description: str, url: str) -> str:
    """Return ``<title>`` and the elements that a shared address is previewed by (ogp.me).

    Args:
        url: The public address; it never holds a token.
    """
    shown = escape(title)
    fields = {
        "og:site_name": "Vilokanam",
        "og:type": "video.other",
        "og:title": title,
        "og:description": description,
        "og:url": url,
    }
    properties = "".join(
        f'<meta property="{name}" content="{escape(text)}">' for name, text in fields.items()
    )
    summary = f'<meta name="description" content="{escape(description)}">'
    return f"<title>{shown}</title>{summary}{properties}"


def _module(source: str) -> str:
    return f'<script type="module" src="{escape(source)}"></script>' if source else ""


def _head(notice: Notice) -> str:
    head = notice.card or f"<title>{escape(notice.title)}</title>"
    again = f'<meta http-equiv="refresh" content="{notice.again_s}">' if notice.again_s else ""
    return head + again


def _body(notice: Notice) -> str:
    body = [_EYE, f"<h1>{escape(notice.title)}</h1>"]
    if notice.state:
        tone = " live" if notice.state.startswith("Live") else ""
        body.append(f'<p class="state{tone}">{escape(notice.state)}</p>')
    if notice.price:
        body.append(f'<p class="price">{escape(notice.price)}</p>')
    if notice.link:
        address, label = notice.link
        body.append(
            f'<a class="button" rel="noreferrer noopener" href="{escape(address)}">'
            f"{escape(label)}</a>"
        )
    if notice.join_script:
        data = "".join(f' data-{name}="{escape(value)}"' for name, value in notice.join)
        body.append(f'<div id="join"{data}></div>')
    body.extend(f"<p>{escape(line)}</p>" for line in notice.lines)
    if notice.report:
        body.append(f'<p><a href="/{notice.report}/report">Report this stream</a></p>')
    return "".join(body)


def source_hash(text: str) -> str:
    """Return what a Content-Security-Policy allows inline text by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
