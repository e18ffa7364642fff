"""A server whose port outlives it: what systemd does for a unit, in some lines.

It passes listening sockets as sd_listen_fds(3) says, and keeps those that the server gives to it
as sd_notify(3) says (``FDSTORE=1``).
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from tests.support.servers.vilokanam import Server

_PASS = """
n=3; for fd in $FDS; do eval "exec $n<&$fd $fd<&-"; n=$((n + 1)); done; unset FDS
LISTEN_PID=$$ exec "$@"
"""


class HeldServer(Server):
    """A server started as by systemd.

    Attributes:
        told: What it said on the manager's socket.
        kept: The sockets that it gave away, by name.
    """

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory, **options)
        self.unit: socket.socket | None = None
        self.told: list[str] = []
        self.kept: list[tuple[str, int]] = []
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = str(directory / "notify")
        self._channel.bind(address)
        self._channel.setblocking(False)
        self.environment["NOTIFY_SOCKET"] = address

    def hold(self) -> None:
        """Hold the port from now on, as a socket unit does."""
        self.unit = socket.create_server(("127.0.0.1", self.port), backlog=1024)

    def command(self) -> list[str]:
        """Pass what is held to the command of a start."""
        self.hear()
        passed = [("vilokanam.socket", self.unit.fileno())] if self.unit else []
        passed += self.kept
        # Out of the way of the numbers that they are passed as.
        self.pass_fds = [os.dup(fd) for _, fd in passed]
        self.environment |= {
            "LISTEN_FDS": str(len(passed)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in passed),
            "FDS": " ".join(map(str, self.pass_fds)),
        }
        return ["bash", "-c", _PASS, "bash", *super().command()]

    def launch(self) -> None:
        """Start it; our copies of what is passed are closed."""
        super().launch()
        for fd in self.pass_fds:
            os.close(fd)

    def hear(self) -> None:
        """Take what the server told, and keep what it gave away."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._channel, 4096, 16)
            except BlockingIOError:
                return
            facts = data.decode().split("\n")
            self.told += facts
            name = next((f.removeprefix("FDNAME=") for f in facts if f.startswith("FDNAME=")), "")
            if "FDSTORE=1" in facts:
                self.kept += [(name, fd) for fd in fds]
            if "FDSTOREREMOVE=1" in facts:
                for each in [each for each in self.kept if each[0] == name]:
                    os.close(each[1])
                    self.kept.remove(each)

    def close(self) -> None:
        """Let go of everything, as when the units are stopped."""
        self._channel.close()
        if self.unit is not None:
            self.unit.close()
        for _, fd in self.kept:
            os.close(fd)
        self.kept = []
