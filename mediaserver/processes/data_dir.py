"""The data directory: made, locked for one server, cleared of what a dead server left."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import Final, Self

from mediaserver.processes.bootstrap import StartRefusedError

SOCKET_PATH_BYTES_MAX: Final = 107
"""sockaddr_un of Linux holds 108 bytes, the last of them nothing."""
_LONGEST_SOCKET: Final = "worker-w00000000.sock"


class DataDir:
    """Holds the lock of a data directory; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = -1

    def __enter__(self) -> Self:
        """Make the directory for this user alone, take the lock, remove stale sockets.

        Raises:
            StartRefusedError: It cannot be used, or another server uses it.
        """
        run_dir = self.path / "run"
        if len(os.fsencode(run_dir / _LONGEST_SOCKET)) > SOCKET_PATH_BYTES_MAX:
            raise StartRefusedError(
                f"server.data_dir: {self.path} is too long a path for unix sockets; "
                f"use one of at most {SOCKET_PATH_BYTES_MAX - len(_LONGEST_SOCKET) - 6} bytes"
            )
        try:
            run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartRefusedError(
                f"server.data_dir: {self.path} cannot be written: {error.strerror}; "
                "give a directory of the server's own"
            ) from error
        self._take_lock()
        for pattern in ("*.sock", "*.link"):
            for stale in run_dir.glob(pattern):
                stale.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back; the file stays, as removing it would race with the next server."""
        os.close(self._lock)

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise StartRefusedError(
                f"server.data_dir: {self.path} is in use by the server with process id {holder}; "
                "stop that one, or give this one another data directory"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)


def check_port(host: str, port: int) -> None:
    """Find out whether the HTTP processes will be able to listen.

    Raises:
        StartRefusedError: Another program listens there, or the address is not of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        reason = "is in use by another program" if error.errno == 98 else f"{error.strerror}"
        raise StartRefusedError(
            f"server.port: {port} on {host} {reason}; stop that program, or choose another port "
            "with server.port, VILOKANAM_SERVER__PORT or --port"
        ) from error
