"""What the benchmarks share: CPU of processes, the load generator's clocks, tables and JSON.

Importing it makes the product and the end-to-end harness importable from a clean tree.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / "bench" / "out"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))


from mediaserver import log  # noqa: E402 - the same
from tests.support.servers.vilokanam import Server, running  # noqa: E402 - the same

log.configure("console", "warning", "bench")

FILE_BLOCK_S: Final = 10


def cpu_s(pid: int) -> float:
    """Return the CPU seconds (user and system, all threads) of a living process, to the ns.

    The clock is what clock_getcpuclockid(3) returns; /proc/<pid>/stat says the same in 10 ms steps.
    """
    return time.clock_gettime((~pid << 3) | 2)


def tree(pid: int) -> tuple[int, ...]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return tuple(found)


def command(pid: int) -> str:
    """Return a process's command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


@contextmanager
def product(config: str = "", python: str = sys.executable, root: Path = ROOT) -> Iterator[Server]:
    """Yield the whole product in a directory of its own, ready, with defaults but for `config`.

    Args:
        root: Another work tree whose product it is; `python` is of its environment.
    """
    with tempfile.TemporaryDirectory(prefix="vk-bench-") as folder:
        server = Server(Path(folder))
        server.python = python
        server.root = root
        place = f'[server]\nport = {server.port}\ndata_dir = "{server.data_dir}"\n'
        server.config.write_text(place + config)
        try:
            with running(server):
                yield server
        except BaseException:
            print(server.tail(), file=sys.stderr)
            for file in server.directory.glob("publish.log"):
                print(file.read_text(), file=sys.stderr)
            raise


def clip(folder: Path) -> Path:
    """Return a file of 10 s that a publisher can send as it is: 720p30 H.264 of 2 Mbit/s, Opus."""
    path = folder / "clip.mkv"
    words = f"""ffmpeg -nostdin -v error -y -f lavfi -i testsrc2=size=1280x720:rate=30
        -f lavfi -i sine=frequency=440:sample_rate=48000 -t {FILE_BLOCK_S} -pix_fmt yuv420p
        -c:v libx264 -preset ultrafast -tune zerolatency -profile:v baseline -g 60 -keyint_min 60
        -sc_threshold 0 -b:v 2000k -maxrate 2000k -bufsize 2000k -c:a libopus -b:a 96k -ac 2"""
    subprocess.run([*words.split(), str(path)], check=True)
    return path


@contextmanager
def publishing(server: Server, slug: str, key: str, source: Path | str) -> Iterator[None]:
    """Publish a file, over and over, or ``testsrc``, in a process of its own."""
    url = f"{server.url}/{slug}/whip"
    words = [sys.executable, "-m", "mediaserver.cli.main", "publish", str(source), url]
    with (server.directory / "publish.log").open("ab") as log:
        process = subprocess.Popen([*words, "--key", key], stdout=log, stderr=log, cwd=ROOT)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)


def spread(values: Iterable[float], digits: int = 0) -> dict[str, float]:
    """Return median, least and most."""
    some = sorted(values)
    named = {"median": some[len(some) // 2], "min": some[0], "max": some[-1]}
    return {name: round(value, digits or None) for name, value in named.items()}


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: the first column to the left, all others to the right."""
    cells = [list(head), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    for row in cells:
        first, *others = (
            text.rjust(width) if at else text.ljust(width)
            for at, (text, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())


def write(name: str, facts: dict[str, Any]) -> None:
    """Write ``bench/out/<name>.json`` with what is known of the machine."""
    OUT.mkdir(exist_ok=True)
    machine = {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    path = OUT / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, **facts}, indent=1) + "\n")
    print(f"-> {path.relative_to(ROOT)}")


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
