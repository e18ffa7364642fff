"""WHIP POST to connected media, and to the first access unit, for FFmpeg and for Chromium.

Against the whole product, with a warm worker as it always has. "connected" is what the publisher
saw; "first media" is when the worker opened the show, which its first access unit makes it do, from
its log. The yardstick is the browser itself: two RTCPeerConnections of one page connected to each
other, with the same tracks and no HTTP at all.

``--beside`` names another work tree, with a .venv of its own, and measures both products in turns:
a machine that others use as well is equally slow for the two of a pair. What the worker spends from
POST to connected, CPU and page faults, depends less on them than the time does.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from _common import ROOT, command, cpu_s, product, spread, table, tree, write

from tests.support.servers.vilokanam import Server, chromium, until

CONFIG: Final = "[transcode]\nrungs = []\n[ingest]\nreconnect_wait_s = 5\n"
"""A worker whose publisher left makes room for the next one soon."""
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
    # Not by the command line, which may be of another version than the server.
    key = server.api("POST", "streams", {"slug": slug, "planck_per_s": "0"})["stream_key"]
    time.sleep(1.5)  # a spare is started while the last one works: not what is measured
    return f"{server.url}/{slug}/whip", key


def spare_worker(server: Server) -> int:
    """Return the process id of the newest worker: the one that waits for the next publisher."""
    assert server.process is not None
    members = tree(server.process.pid)
    workers = [pid for pid in members if "processes.worker " in command(pid)]
    began: dict[int, int] = {pid: int(_stat(pid)[19]) for pid in workers}
    return max(began, key=lambda pid: began[pid])


def spent(pid: int) -> tuple[float, int]:
    """Return the CPU milliseconds and minor page faults of a process so far."""
    return 1000 * cpu_s(pid), int(_stat(pid)[7])


def _stat(pid: int) -> list[str]:
    """Return the fields of proc_pid_stat(5) from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


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
        server = stack.enter_context(product(CONFIG))
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


def turn(server: Server, number: int, folder: Path, page: Any) -> dict[str, float]:
    """Return ms to connected by each kind of publisher, and what the worker spent for FFmpeg's."""
    url, key = ready(server, f"ffmpeg-{number}")
    worker = spare_worker(server)
    cpu_before, faults_before = spent(worker)
    words = [sys.executable, str(MUXER), url, key, "0", "av", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connected_s = float(process.stdout.readline().split()[1])
        cpu, faults = spent(worker)
        process.stdout.read()
    url, key = ready(server, f"chromium-{number}")
    seen = page.evaluate(PUBLISH, [url, key])
    page.evaluate(LEAVE)
    return {
        "FFmpeg, ms": 1000 * connected_s,
        "Chromium, ms": seen["connected"],
        "worker's CPU, ms": cpu - cpu_before,
        "worker's page faults": faults - faults_before,
    }


def measure_beside(times: int, other: Path) -> dict[str, Any]:
    """Return medians of this work tree and of `other`, and the median of each pair's ratio."""
    turns: tuple[list[dict[str, float]], ...] = ([], [])
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-bench-")))
        servers = [
            stack.enter_context(product(CONFIG, str(root / ".venv/bin/python"), root))
            for root in (ROOT, other)
        ]
        blank = stack.enter_context(blank_page())
        page = stack.enter_context(chromium()).new_page()
        page.goto(blank)
        page.evaluate(LOOP)
        for number in range(times + 1):
            # The first turn of each warms its HTTP process and control; then who begins alternates.
            for at in (0, 1) if number % 2 else (1, 0):
                turns[at].append(turn(servers[at], number, folder, page))
    pairs = list(zip(turns[0][1:], turns[1][1:], strict=True))
    return {
        name: {
            "this": round(statistics.median(one[name] for one, _ in pairs), 1),
            "other": round(statistics.median(two[name] for _, two in pairs), 1),
            "ratio": round(statistics.median(one[name] / two[name] for one, two in pairs), 3),
        }
        for name in pairs[0][0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--beside", type=Path, metavar="TREE", help="compare with another tree")
    options = parser.parse_args()
    if options.beside is not None:
        facts = measure_beside(options.times, options.beside.absolute())
        print(f"From WHIP POST to connected, here and in {options.beside}: medians")
        table(
            ("", "here", "there", "ratio"), [(name, *row.values()) for name, row in facts.items()]
        )
        write("connect_beside", {"times": options.times, **facts})
        return
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
