"""Stock players in a browser, with their defaults: one page each, from a server of its own.

A server, as Playwright's own interception would turn the browser's cache off, which is part of what
is tested here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import quote

from tests.support.servers.vilokanam import ROOT
from tests.support.stock.progress import Sample

_SCRIPTS: Final = {
    "hls.js": "hls.js/dist/hls.min.js",
    "shaka": "shaka-player/dist/shaka-player.compiled.js",
    "video.js": "video.js/dist/video.min.js",
}
_START: Final = {
    "hls.js": """
      const hls = new Hls();
      hls.on(Hls.Events.ERROR, (_, error) =>
        note(error.fatal ? 'fatal' : 'error', `${error.details} ${error.error?.message ?? ''}`));
      hls.loadSource(source);
      hls.attachMedia(video);
    """,
    "shaka": """
      shaka.polyfill.installAll();
      const player = new shaka.Player();
      player.addEventListener('error', event => {
        const {severity, code, data, message, stack} = event.detail;
        note(severity === 2 ? 'fatal' : 'error', `${code} ${data} ${message} ${stack}`);
      });
      player.attach(video).then(() => player.load(source))
        .catch(error => note('fatal', String(error)));
    """,
    "video.js": """
      const player = videojs(video);
      player.on('error', () => note('fatal', player.error()?.message));
      player.src({src: source, type: 'application/vnd.apple.mpegurl'});
    """,
}
NAMES: Final = tuple(_SCRIPTS)
_PAGE: Final = """<!doctype html><meta charset=utf-8><title>{name}</title>
<video id=video muted autoplay playsinline width=320 height=180></video>
<script src=/{script}></script>
<script>
  window.samples = []; window.notes = [];
  const note = (kind, text) => notes.length < 500 && notes.push([Date.now() / 1000, kind, text]);
  window.onerror = text => note('thrown', String(text));
  window.onunhandledrejection = event => note('thrown', String(event.reason));
  const video = document.querySelector('#video');
  const source = decodeURIComponent(location.hash.slice(1));
  {start}
  setInterval(() => {{
    const now = document.querySelector('video');
    samples.push([Date.now() / 1000, now.currentTime]);
    if (now.paused && !now.ended) now.play().catch(() => undefined);
  }}, 100);
</script>"""


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        name = self.path.removeprefix("/play/")
        if name not in _SCRIPTS:
            super().do_GET()
            return
        body = _PAGE.format(name=name, script=_SCRIPTS[name], start=_START[name]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def pages() -> Iterator[str]:
    """Yield the address of the players' pages."""
    handler = partial(_Handler, directory=str(ROOT / "web" / "node_modules"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class PagePlayer:
    """One stock player in a page."""

    def __init__(self, browser: Any, address: str, name: str, source: str) -> None:
        self.name = name
        self._page = browser.new_page()
        self._page.goto(f"{address}/play/{name}#{quote(source, safe='')}")

    def samples(self) -> list[Sample]:
        """Return where it was, ten times a second."""
        return [Sample(*pair) for pair in self._page.evaluate("() => window.samples")]

    def notes(self) -> list[Any]:
        """Return what it complained of."""
        found: list[Any] = self._page.evaluate("() => window.notes")
        return found

    def wait_playing(self, timeout_s: float = 30) -> None:
        """Wait until it shows something."""
        self._page.wait_for_function(
            "() => document.querySelector('video')?.currentTime > 0", timeout=timeout_s * 1000
        )

    def wait(self, seconds: float) -> None:
        """Let it play."""
        self._page.wait_for_timeout(seconds * 1000)

    def close(self) -> None:
        """Close its page."""
        self._page.close()
