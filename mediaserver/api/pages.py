"""The watch page and its assets, from memory.

The page is built by web/ into ``static/``: ``index.html`` is a template with the mark ``<!--
BOOT-->``, all else carries its content's hash in its name and never changes.
"""

from __future__ import annotations

import gzip
import json
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

STATIC_DIR: Final = Path(__file__).parent / "static"
BOOT_MARK: Final = "<!--BOOT-->"
_GZIP_FROM_BYTES: Final = 512
_COMPRESSIBLE: Final = ("text/", "application/javascript", "application/json", "image/svg")
_PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
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
    """Holds the built page; nothing is read from disk after the start."""

    def __init__(self, static_dir: Path = STATIC_DIR) -> None:
        index = static_dir / "index.html"
        html = index.read_text() if index.exists() else _MISSING_PAGE
        self._before, _, self._after = html.partition(BOOT_MARK)
        self._assets: dict[str, _Asset] = {}
        for path in (static_dir / "assets").glob("**/*"):
            if path.is_file():
                self._assets[path.relative_to(static_dir / "assets").as_posix()] = _load(path)

    def page(self, boot: dict[str, Any]) -> web.Response:
        """Return the watch page with `boot` inlined as ``window.__boot``."""
        # "</script>" inside a title must not end the script; JSON allows the escaped form.
        text = json.dumps(boot, separators=(",", ":")).replace("<", "\\u003c")
        html = f"{self._before}<script>window.__boot={text}</script>{self._after}"
        return web.Response(text=html, content_type="text/html", headers=_PAGE_HEADERS)

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
