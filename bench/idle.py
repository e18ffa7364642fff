"""Memory and CPU of a server that serves nobody, and what a passthrough stream adds.

Memory is counted in proportion (PSS): a page that n processes share counts 1/n for each, so the
processes' figures add up to what the machine gave. A stream's growth is read before its window is
full; media that the HTTP process and the worker hold by then is shown beside it. Code of the codecs
that all streams share, some 5 MB, is in the spare worker's memory already: the first stream is as
dear as the next but for its share of it. The embedded Redis is included.

An operator has no development packages, some of which libraries import where they find them, and
nobody else's processes share the server's libraries: give `--python` of an environment where only
``pip install -c constraints.txt .`` was run.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from _common import clip, command, cpu_s, product, publishing, table, tree, write

from tests.support.audience import open_stream, wait_live
from tests.support.servers.vilokanam import Server, get

CONFIG: Final = "[transcode]\nrungs = []\n"
SETTLE_S: Final = 5.0
"""After ready: the spare worker's warm-up and control's first cut are over."""
STREAM_S: Final = 3.0
"""After live: the codec's and the links' buffers are there, the window of 30 s is not."""
_FIELDS: Final = ("Rss", "Pss", "Private_Dirty")


def memory_mb(pid: int) -> dict[str, float]:
    """Return resident, proportional and private written memory of one process."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE))
    return {name.lower(): int(found[name]) / 1024 for name in _FIELDS}


def name_of(pid: int) -> str:
    """Return which of the server's processes it is."""
    words = command(pid)
    match = re.search(r"processes\.(\w+)", words)
    if match is not None:
        return match[1]
    return "redis" if "redis" in words else "server"


def processes(server: Server) -> dict[int, dict[str, Any]]:
    """Return name and memory of each process of the server, by process id."""
    assert server.process is not None
    # The publisher of a stream is no child of the server.
    return {
        pid: {"name": name_of(pid), **memory_mb(pid)} for pid in sorted(tree(server.process.pid))
    }


def total_mb(members: dict[int, dict[str, Any]], name: str = "pss") -> float:
    """Return the sum over all processes."""
    return sum(float(facts[name]) for facts in members.values())


def held_mb(server: Server) -> float:
    """Return the media that the HTTP processes hold."""
    text = get(f"{server.url}/metrics")[1].decode()
    found = re.findall(r"^mediaserver_hls_held_bytes\S* (\S+)$", text, re.MULTILINE)
    return sum(map(float, found)) / (1 << 20)


def measure(seconds: float, source: Path, python: str) -> dict[str, Any]:
    """Return the figures of one server: idle, then with one stream, then with two."""
    with product(CONFIG, python) as server, contextlib.ExitStack() as stack:
        time.sleep(SETTLE_S)
        members = processes(server)
        before, began = {pid: cpu_s(pid) for pid in members}, time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began
        for pid, facts in members.items():
            facts["cpu_percent"] = 100 * (cpu_s(pid) - before[pid]) / took_s
        idle = {name: round(total_mb(members, name), 2) for name in ("rss", "pss", "cpu_percent")}
        streams = []
        for number in (1, 2):
            slug = f"cam-{number}"
            key = open_stream(server, slug, "0")
            stack.enter_context(publishing(server, slug, key, source))
            wait_live(server, None, slug)
            time.sleep(STREAM_S)
            # The worker keeps the same window once more, for an HTTP process that restarts.
            window_mb = 2 * held_mb(server)
            grown_mb = total_mb(processes(server)) - total_mb(members)
            streams.append(
                {
                    "streams": number,
                    "pss": round(total_mb(members) + grown_mb, 1),
                    "growth_per_stream": round(grown_mb / number, 1),
                    "window_per_stream": round(window_mb / number, 1),
                    "growth_less_window": round((grown_mb - window_mb) / number, 1),
                }
            )
    rounded = [
        {name: round(value, 2) if isinstance(value, float) else value for name, value in f.items()}
        for f in members.values()
    ]
    return {"processes": rounded, "idle": idle, "streams": streams, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long idle CPU is watched")
    parser.add_argument("--python", default=sys.executable, help="that runs the server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vk-bench-") as name:
        facts = measure(options.seconds, clip(Path(name)), options.python)
    columns = ("rss", "pss", "private_dirty", "cpu_percent")
    print("Idle: MB, and per cent of a core")
    table(
        ("", *columns),
        [(one["name"], *(one[name] for name in columns)) for one in facts["processes"]]
        + [("all", facts["idle"]["rss"], facts["idle"]["pss"], "", facts["idle"]["cpu_percent"])],
    )
    print("Passthrough streams before their window is full: MB")
    names = ("streams", "pss", "growth_per_stream", "window_per_stream", "growth_less_window")
    table(names, [[one[name] for name in names] for one in facts["streams"]])
    write("idle", facts)


if __name__ == "__main__":
    main()
