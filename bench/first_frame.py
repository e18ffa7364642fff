"""Navigation to first frame of the watch page, beside a plain page with hls.js as it comes.

Both play the same metered stream of the same server in headless Chromium, each time in a fresh
context (empty caches), in turn, with nobody watching (bench/_tabs.py). Then both play for 10 s side
by side: seconds behind the server's clock by PROGRAM-DATE-TIME, and stalls. First frame:
requestVideoFrameCallback, milliseconds since navigation began. The plain page is on a server of
its own with hls.min.js beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from _common import ROOT, clip, product, publishing, spread, table, write
from _tabs import Tab, Tabs, chromium

from tests.support.audience import mint, open_stream, open_viewer, wait_live

HLS_JS: Final = ROOT / "web" / "node_modules" / "hls.js" / "dist" / "hls.min.js"
PLAIN_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>plain</title>
<video muted playsinline width="1280"></video><script src="hls.min.js"></script><script>
const video = document.querySelector("video"), hls = new Hls();
window.plain = {firstFrameMs: null, stalls: 0};
video.requestVideoFrameCallback(() => { plain.firstFrameMs = performance.now(); });
video.addEventListener("waiting", () => { if (plain.firstFrameMs !== null) plain.stalls += 1; });
hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
hls.loadSource(new URLSearchParams(location.search).get("src"));
hls.attachMedia(video);
</script>"""
FIRST: Final = {
    "ours": "window.vilokanam?.firstFrameMs ?? null",
    "plain": "window.plain?.firstFrameMs ?? null",
}
FACTS: Final = {
    "ours": """({stalls: vilokanam.stalls, latencyS: vilokanam.latencyS,
        height: document.querySelector("video").videoHeight})""",
    "plain": """({stalls: plain.stalls, latencyS: (Date.now() - hls.playingDate) / 1000,
        height: video.videoHeight})""",
}
AGREE: Final = """location.protocol.startsWith("http") ? (localStorage.setItem(
    "vilokanam:agreed:cam", JSON.stringify({price: "1000000", limit: null})), true) : null"""
MARKS: Final = """Object.fromEntries([
    ...performance.getEntriesByType("mark").map((mark) => [mark.name, mark.startTime]),
    ["response", performance.getEntriesByType("navigation")[0].responseEnd],
])"""


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def plain_page(folder: Path) -> Iterator[str]:
    """Yield the address of the plain page."""
    (folder / "index.html").write_text(PLAIN_PAGE)
    (folder / "hls.min.js").write_bytes(HLS_JS.read_bytes())
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *words: _Quiet(*words, directory=str(folder))
    )
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def opened(browser: Tabs, name: str, url: str) -> Iterator[tuple[Tab, float]]:
    """Yield a page of a fresh context and when its first frame was shown.

    The viewer agreed to the price before, as on every visit but the first.
    """
    if name == "ours":
        tab = browser.open(f"{url.partition('/w/')[0]}/healthz")
        tab.wait_for(AGREE, 20)
        tab.navigate(url)
    else:
        tab = browser.open(url)
    try:
        yield tab, tab.wait_for(FIRST[name], 20)
    finally:
        tab.close()


def measure(times: int, play_s: float) -> dict[str, Any]:
    """Return first frames, marks, latencies and stalls of both pages."""
    first: dict[str, list[float]] = {"ours": [], "plain": []}
    marks: dict[str, list[float]] = {}
    result: dict[str, Any] = {"times": times, "play_s": play_s}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-bench-")))
        server = stack.enter_context(product())
        key = open_stream(server, "cam")
        open_viewer(server, "ann", "6000000000")
        tickets = {name: mint(server, "ann", "cam") for name in first}
        stack.enter_context(publishing(server, "cam", key, clip(folder)))
        wait_live(server, tickets["ours"], "cam")
        (folder / "page").mkdir()
        plain = stack.enter_context(plain_page(folder / "page"))
        urls = {
            "ours": server.url + tickets["ours"].path,
            "plain": f"{plain}?src={server.url}{tickets['plain'].path}index.m3u8",
        }
        browser = stack.enter_context(chromium())
        for number in range(times + 1):
            for name, url in urls.items():
                with opened(browser, name, url) as (page, first_ms):
                    if number == 0:
                        continue  # the browser itself is warm from here on
                    first[name].append(first_ms)
                    if name == "ours":
                        for mark, at in page.evaluate(MARKS).items():
                            marks.setdefault(mark, []).append(at)
        pages = {n: stack.enter_context(opened(browser, n, url))[0] for n, url in urls.items()}
        time.sleep(play_s)
        for name, page in pages.items():
            result[name] = {"first_frame_ms": spread(first[name]), **page.evaluate(FACTS[name])}
    result["marks_ms"] = {mark: spread(at) for mark, at in marks.items()}
    medians = [result[name]["first_frame_ms"]["median"] for name in ("ours", "plain")]
    result["first_frame_ratio"] = round(medians[0] / medians[1], 2)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=11)
    parser.add_argument("--play-s", type=float, default=10)
    options = parser.parse_args()
    result = measure(options.times, options.play_s)
    table(
        ("page", "first frame ms", "min", "max", "latency s", "stalls"),
        [
            (label, *facts["first_frame_ms"].values(), facts["latencyS"], facts["stalls"])
            for label, facts in (("watch page", result["ours"]), ("plain hls.js", result["plain"]))
        ],
    )
    print(f"first frame, watch page to plain page: {result['first_frame_ratio']}")
    for mark, at in sorted(result["marks_ms"].items(), key=lambda item: item[1]["median"]):
        print(f"  {mark}: {at['median']} ms ({at['min']}-{at['max']})")
    write("first_frame", result)


if __name__ == "__main__":
    main()
