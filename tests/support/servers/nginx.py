"""The machine's real nginx as an edge, in a folder of its own, and what its log says."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Line:
    """One line of an edge's access log."""

    session: str
    method: str
    path: str
    status: int
    size_bytes: int
    cache: str


def program() -> str:
    """Return nginx, or skip; fail in CI."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("no nginx")
    return str(found)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(config: Path, port: int) -> Iterator[None]:
    """Run ``nginx -c config`` until the block ends; all it says goes to ``said`` beside it."""
    with (config.parent / "said").open("ab") as said:
        process = subprocess.Popen([program(), "-c", str(config)], stdout=said, stderr=said)
    try:
        _wait(process, port, config)
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def read_log(path: Path) -> list[Line]:
    """Return the lines of an access log; nginx writes each when its answer is complete."""
    lines = []
    for text in path.read_text().splitlines():
        _, session, method, where, status, size, cache, _ = text.split(" ")
        lines.append(Line(session, method, where, int(status), int(size), cache))
    return lines


def _wait(process: subprocess.Popen[bytes], port: int, config: Path) -> None:
    for _ in range(500):
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError((config.parent / "said").read_text())
