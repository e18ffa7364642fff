"""The data directory: made, locked for one server, cleared of what a dead server left."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from pathlib import Path
from typing import Final, Self

from mediaserver.ingest import farewell
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
        farewell.leave(run_dir)
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


def identity(path: Path) -> str:
    """Return an id of a data directory: the same for who starts there again, another for a copy.

    Of the machine since it was started, the file system and the directory's place in it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        boot = socket.gethostname()
    status = path.stat()
    whole = f"{boot.strip()} {status.st_dev} {status.st_ino}"
    return hashlib.sha256(whole.encode()).hexdigest()[:32]


def server_name(path: Path) -> str:
    """Return what people call a server by: its host, its data directory, this process."""
    return f"{socket.gethostname()}:{path} (process {os.getpid()})"
