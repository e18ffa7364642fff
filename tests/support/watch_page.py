"""The built watch page in any state, without a server: its requests are answered here."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.vilokanam import ROOT

STATIC = ROOT / "mediaserver" / "api" / "static"
ORIGIN = "http://watch.example"
PATH = "/w/token/cam/"
PRICE = 250_000_000
BALANCE = 900 * PRICE
TAP_ALL = """() => {
  const missed = [];
  const shown = [...document.querySelectorAll('button, a, input, select')].filter(
    (it) => it.checkVisibility({visibilityProperty: true, opacityProperty: true}));
  for (const it of shown) {
    it.scrollIntoView({block: 'nearest'});
    const {left, top, width, height} = it.getBoundingClientRect();
    for (const [x, y] of [[0.5, 0.5], [0.15, 0.5], [0.85, 0.5], [0.5, 0.15], [0.5, 0.85]]) {
      const hit = document.elementFromPoint(left + x * width, top + y * height);
      if (hit !== it && !it.contains(hit))
        missed.push(`${it.id} at ${x} ${y}: ${hit?.id || hit?.className}`);
    }
  }
  return {shown: shown.map((it) => it.id), missed,
    sideways: document.documentElement.scrollWidth - innerWidth};
}"""
"""Returns the ids of what can be used, and where a tap on it would hit something else."""


def boot(**change: Any) -> dict[str, Any]:
    """Return what the server puts into the page of a priced stream that is not live."""
    return {
        "stream": "cam",
        "title": "A stream with quite a long title, as people write them",
        "state": "offline",
        "multivariant": None,
        "playlist": None,
        "price": {"planck_per_s": str(PRICE), "symbol": "UNIT", "decimals": 12},
        "session": "00112233aabbccdd",
        "expires_ms": int(time.time() * 1000) + 3_600_000,
        "now_ms": int(time.time() * 1000),
        "top_up": {"open": False, "url": ""},
        **change,
    }


def reading(**change: Any) -> dict[str, Any]:
    """Return a message of the meter."""
    return {
        "type": "meter",
        "seconds": 125,
        "spent": str(125 * PRICE),
        "balance": str(BALANCE),
        "price": str(PRICE),
        "seconds_left": BALANCE // PRICE,
        "state": "live",
        **change,
    }


class FakeServer:
    """Answers one page's requests; `playlist` is (status, body) of what it asks for to play."""

    def __init__(self, page: Any, **change: Any) -> None:
        if not (STATIC / "index.html").exists():
            pytest.skip("the page is not built: make page")
        self.page = page
        self.boot = boot(**change)
        self.playlist: tuple[int, dict[str, Any]] | None = (404, {})
        self.meter: list[dict[str, Any]] = [reading()]
        self._sockets: list[Any] = []
        self.media: list[str] = []
        page.route("**/*", self._answer)
        page.route_web_socket("**/meter", self._meter)

    def agree(self, price: int = PRICE, limit: int | None = None) -> None:
        """Let the viewer have agreed to a price before."""
        kept = json.dumps({"price": str(price), "limit": limit and str(limit)})
        self.page.add_init_script(
            f"localStorage.setItem('vilokanam:agreed:cam', {json.dumps(kept)})"
        )

    def open(self) -> None:
        """Open the page."""
        self.page.goto(ORIGIN + PATH, wait_until="load")

    def send(self, message: dict[str, Any]) -> None:
        """Let the meter say something."""
        for socket in self._sockets:
            socket.send(json.dumps(message))

    def _meter(self, socket: Any) -> None:
        self._sockets.append(socket)
        for message in self.meter:
            socket.send(json.dumps(message))

    def _answer(self, route: Any) -> None:
        path = Path(route.request.url.removeprefix(ORIGIN).partition("?")[0])
        if route.request.url.endswith(PATH):
            html = (STATIC / "index.html").read_text()
            script = f"<script>window.__boot={json.dumps(self.boot)}</script>"
            route.fulfill(body=html.replace("<!--BOOT-->", script), content_type="text/html")
        elif path.parts[1] == "assets":
            route.fulfill(path=STATIC / "assets" / path.name)
        elif path.suffix == ".m3u8" and self.playlist is not None:
            status, body = self.playlist
            route.fulfill(
                status=status, body=json.dumps(body), content_type="application/problem+json"
            )
        elif path.suffix == ".m4s":
            self.media.append(route.request.url)
        # All else stays without an answer: nothing there is looked at.
