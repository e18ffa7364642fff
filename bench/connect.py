"""WHIP POST to connected media, and to the first access unit, for FFmpeg and for Chromium.

Against the whole product, with a warm worker as it always has. "connected" is what the publisher
saw; "first media" is when the worker opened the show, which its first access unit makes it do, from
its log. The yardstick is the browser itself: two RTCPeerConnections of one page connected to each
other, with the same tracks and no HTTP at all.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from _common import ROOT, product, spread, table, write

from tests.support.audience import open_stream
from tests.support.servers.vilokanam import Server, chromium, until

LONGEST_S: Final = 15
MUXER: Final = ROOT / "tests" / "support" / "whip" / "publish.py"
MEDIA: Final = """const media = await navigator.mediaDevices.getUserMedia(
    {audio: true, video: {width: 640, height: 360}});
  const connected = (pc) => new Promise((done) => pc.addEventListener('connectionstatechange',
    () => pc.connectionState === 'connected' && done(performance.now())));
  const send = (pc) => { for (const track of media.getTracks())
    pc.addTransceiver(track, {direction: 'sendonly', streams: [media]}); };
"""
PUBLISH: Final = f"""async ([url, key]) => {{
  {MEDIA}
  const pc = new RTCPeerConnection({{bundlePolicy: 'max-bundle'}});
  send(pc);
  await pc.setLocalDescription();
  const is = connected(pc), began = performance.now(), at = Date.now();
  const answer = await fetch(url, {{method: 'POST', body: pc.localDescription.sdp,
    headers: {{'Content-Type': 'application/sdp', 'Authorization': `Bearer ${{key}}`}}}});
  if (answer.status !== 201) throw new Error(await answer.text());
  const answered = performance.now();
  await pc.setRemoteDescription({{type: 'answer', sdp: await answer.text()}});
  window.pc = pc;
  window.session = [answer.headers.get('Location'), key];
  return {{at, answered: answered - began, connected: await is - began}};
}}"""
LEAVE: Final = """async () => { const [url, key] = window.session; window.pc.close();
  await fetch(url, {method: 'DELETE', headers: {'Authorization': `Bearer ${key}`}}); }"""
LOOP: Final = f"""async () => {{
  {MEDIA}
  const [a, b] = [new RTCPeerConnection({{bundlePolicy: 'max-bundle'}}), new RTCPeerConnection()];
  a.onicecandidate = (event) => b.addIceCandidate(event.candidate);
  b.onicecandidate = (event) => a.addIceCandidate(event.candidate);
  const video = document.createElement('video');
  video.muted = true;
  b.ontrack = (event) => {{ video.srcObject = event.streams[0]; video.play(); }};
  const first = new Promise((done) =>
    video.requestVideoFrameCallback(() => done(performance.now())));
  send(a);
  await a.setLocalDescription();
  const is = connected(a), began = performance.now();
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription();
  await a.setRemoteDescription(b.localDescription);
  const facts = {{connected: await is - began, first: await first - began}};
  a.close(); b.close();
  return facts;
}}"""


def events(server: Server, name: str, after_s: float) -> list[float]:
    """Return the Unix times of log events of one name."""
    found = []
    for line in server.log.read_text().splitlines():
        if f'"{name}"' in line:
            stamp = json.loads(line)["timestamp"]
            at = dt.datetime.fromisoformat(stamp).timestamp()
            if at >= after_s:
                found.append(at)
    return found


def ready(server: Server, slug: str) -> tuple[str, str]:
    """Return WHIP address and key of a new stream, when a warm worker waits for it."""
    key = open_stream(server, slug, "0")
    time.sleep(1.5)  # a spare is started while the last one works: not what is measured
    return f"{server.url}/{slug}/whip", key


def by_ffmpeg(server: Server, number: int, folder: Path) -> dict[str, float]:
    """Return ms of one publisher with FFmpeg's whip muxer."""
    url, key = ready(server, f"ffmpeg-{number}")
    words = [sys.executable, str(MUXER), url, key, "2", "av", str(folder)]
    before_s = time.time()
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    connected_s = float(done.stdout.split()[1])
    opened_s = events(server, "whip.session.opened", before_s)[0]
    first_s = events(server, "show.opened", before_s)[0]
    connected_ms = 1000 * connected_s
    # The muxer says how long, not when it began: its end and the server's are one handshake.
    return {"connected": connected_ms, "first": connected_ms + 1000 * (first_s - opened_s)}


def by_chromium(server: Server, number: int, page: Any) -> dict[str, float]:
    """Return ms of one publisher in the browser."""
    slug = f"chromium-{number}"
    url, key = ready(server, slug)
    seen = page.evaluate(PUBLISH, [url, key])
    at_s = seen["at"] / 1000
    first_s = until(lambda: events(server, "show.opened", at_s), "media", LONGEST_S)[0]
    page.evaluate(LEAVE)
    return {"connected": seen["connected"], "first": 1000 * (first_s - at_s)}


@contextlib.contextmanager
def blank_page() -> Iterator[str]:
    """Yield the address of an empty page: getUserMedia wants a web origin."""

    class Blank(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Blank)
    thread = Thread(target=http.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{http.server_port}/"
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


def measure(times: int) -> dict[str, Any]:
    """Return connect times of each kind of publisher."""
    seen: dict[str, list[dict[str, float]]] = {"ffmpeg": [], "chromium": [], "loop": []}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-bench-")))
        server = stack.enter_context(product("[transcode]\nrungs = []\n"))
        blank = stack.enter_context(blank_page())
        page = stack.enter_context(chromium()).new_page()
        page.goto(blank)
        page.evaluate(LOOP)
        for number in range(times):
            seen["loop"].append(page.evaluate(LOOP))
            seen["chromium"].append(by_chromium(server, number, page))
            seen["ffmpeg"].append(by_ffmpeg(server, number, folder))
    result: dict[str, Any] = {
        name: {f"{what}_ms": spread([one[what] for one in some]) for what in some[0]}
        for name, some in seen.items()
    }
    loop = result["loop"]["connected_ms"]["median"]
    for facts in result.values():
        facts["connected_ratio"] = round(facts["connected_ms"]["median"] / loop, 2)
    return {"times": times, **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    options = parser.parse_args()
    result = measure(options.times)
    labels = {"loop": "browser to itself", "chromium": "Chromium", "ffmpeg": "FFmpeg"}
    print("Milliseconds from WHIP POST")
    table(
        ("publisher", "connected", "min", "max", "first media", "min", "max", "ratio"),
        [
            (
                label,
                *result[name]["connected_ms"].values(),
                *result[name]["first_ms"].values(),
                result[name]["connected_ratio"],
            )
            for name, label in labels.items()
        ],
    )
    write("connect", result)


if __name__ == "__main__":
    main()
