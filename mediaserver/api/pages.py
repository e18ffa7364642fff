"""The watch page, the account page and their assets, from memory.

The page is built by web/ into ``static/``: ``index.html`` is a template with the mark ``<!--
BOOT-->``, all else carries its content's hash in its name and never changes.
"""

from __future__ import annotations

import gzip
import json
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from mediaserver.api.notice_page import source_hash

STATIC_DIR: Final = Path(__file__).parent / "static"
BOOT_MARK: Final = "<!--BOOT-->"
_TITLE: Final = "<title>Vilokanam</title>"
_GZIP_FROM_BYTES: Final = 512
_COMPRESSIBLE: Final = ("text/", "application/javascript", "application/json", "image/svg")
_PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self' {scripts}; style-src 'self' {styles}; "
    # Older browsers do not count their own WebSocket as 'self'.
    "connect-src 'self' ws: wss:; media-src 'self' blob:; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page's address holds a token that pays: nothing runs there but what we wrote."""
_ACCOUNT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCRIPT: Final = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL)
_STYLE: Final = re.compile(r"<style[^>]*>(.*?)</style>", re.DOTALL)
_MISSING_PAGE: Final = (
    "<!doctype html><title>Vilokanam</title><p>The watch page has not been built. "
    "Run <code>make page</code>, or play the HLS address in any player.</p>" + BOOT_MARK
)


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    gzipped: bytes | None
    content_type: str


class Pages:
    """Holds the built page; nothing is read from disk after the start.

    Attributes:
        join_script: Address of the script by which a newcomer joins a stream; empty: not built.
    """

    def __init__(self, static_dir: Path = STATIC_DIR) -> None:
        index = static_dir / "index.html"
        html = index.read_text() if index.exists() else _MISSING_PAGE
        self._before, _, self._after = html.partition(BOOT_MARK)
        account = static_dir / "me.html"
        self._account = account.read_text() if account.exists() else _MISSING_PAGE
        joins = sorted((static_dir / "assets").glob("join-*.js"))
        self.join_script = f"/assets/{joins[0].name}" if joins else ""
        self._scripts = [source_hash(text) for text in _SCRIPT.findall(html)]
        self._styles = " ".join(source_hash(text) for text in _STYLE.findall(html))
        self._assets: dict[str, _Asset] = {}
        for path in (static_dir / "assets").glob("**/*"):
            if path.is_file():
                self._assets[path.relative_to(static_dir / "assets").as_posix()] = _load(path)

    def page(self, boot: dict[str, Any], card: str = "") -> web.Response:
        """Return the watch page with `boot` inlined as ``window.__boot``.

        Args:
            card: Elements in place of the template's title; empty: that stays.
        """
        # "</script>" inside a title must not end the script; JSON allows the escaped form.
        text = json.dumps(boot, separators=(",", ":")).replace("<", "\\u003c")
        before = self._before.replace(_TITLE, card, 1) if card else self._before
        script = f"window.__boot={text}"
        html = f"{before}<script>{script}</script>{self._after}"
        scripts = " ".join((*self._scripts, source_hash(script)))
        policy = _POLICY.format(scripts=scripts, styles=self._styles)
        headers = {**_PAGE_HEADERS, "Content-Security-Policy": policy}
        return web.Response(text=html, content_type="text/html", headers=headers)

    def account(self) -> web.Response:
        """Return everybody's account page: it asks the API who somebody is."""
        policy = _ACCOUNT_POLICY
        headers = {**_PAGE_HEADERS, "Content-Security-Policy": policy}
        return web.Response(text=self._account, content_type="text/html", headers=headers)

    def asset(self, name: str, request: web.BaseRequest) -> web.Response | None:
        """Return a built file, None when there is none of that name."""
        asset = self._assets.get(name)
        if asset is None:
            return None
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        body = asset.body
        if asset.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = asset.gzipped
        return web.Response(body=body, content_type=asset.content_type, headers=headers)


def _load(path: Path) -> _Asset:
    body = path.read_bytes()
    content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    is_text = content_type.startswith(_COMPRESSIBLE) and len(body) >= _GZIP_FROM_BYTES
    return _Asset(body, gzip.compress(body, 9) if is_text else None, content_type)
