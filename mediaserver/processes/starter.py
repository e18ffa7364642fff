"""Starts the server's children: forked by the fork server where that is safe, else spawned.

It decides by itself: spawned is slower and takes more memory, and is otherwise the same.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final

from mediaserver import log
from mediaserver.processes import children
from mediaserver.processes.bootstrap import EXIT_FAILED
from mediaserver.processes.children import Child

MODULE: Final = "mediaserver.processes.fork_server"
NAME: Final = "fork-server"
TITLE_BYTES: Final = 160
"""By this a child's command line may be longer than the fork server's: module, name, numbers."""
_ANSWER_BYTES_MAX: Final = 1 << 12
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_CHILD_SUBREAPER: Final = 36

_log = log.get("server")


class ForkFailedError(Exception):
    """The fork server ended, or could not fork; the message says which."""


class ForkedProcess:
    """A process that the fork server made for us: we are its parent and wait for it.

    Attributes:
        pid: Its process id.
        returncode: Its exit code, negative when a signal ended it, None while it runs.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._fd = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._fd, self._reap)

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, signal: int) -> None:
        """Send a signal to it; only before it was waited for, so its id is nobody else's."""
        os.kill(self.pid, signal)

    def kill(self) -> None:
        """Send SIGKILL to it."""
        self.send_signal(signal.SIGKILL)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)
        try:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            self.returncode = EXIT_FAILED
        self._ended.set()


class Starter:
    """Starts children and owns the channel to the fork server.

    Attributes:
        can_fork: Whether a fork server is of use here; else all children are spawned.
    """

    def __init__(self, modules: Sequence[str], options: Sequence[str]) -> None:
        """Prepare; `start_fork_server` comes before `start` forks anything.

        Args:
            modules: What the fork server imports before its first fork.
            options: Of its command line, as children get them.
        """
        self._modules = tuple(modules)
        self._options = tuple(options)
        self._channel: socket.socket | None = None
        self._decided = asyncio.Event()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self.can_fork = _become_subreaper()
        if not self.can_fork:
            self._decided.set()

    async def start_fork_server(self) -> Child:
        """Start it, once the one before has ended; `start` waits until it has imported all."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs:
            number = theirs.fileno()
            command = (MODULE, *self._options, "--channel-fd", str(number))
            command += ("--modules", ",".join(self._modules), "--room", "." * TITLE_BYTES)
            child = await children.start(NAME, command, pass_fds=(number,))
        asyncio.get_running_loop().add_reader(ours, self._receive, ours)
        return child

    async def start(self, name: str, command: Sequence[str], pass_fds: Sequence[int] = ()) -> Child:
        """Start ``python -m <command...>`` as `children.start` does, by a fork if it can be."""
        await self._decided.wait()
        if self._channel is not None:
            try:
                pid = await self._fork(self._channel, name, command, pass_fds)
                return Child(name, ForkedProcess(pid), asyncio.get_running_loop().time())
            except (ForkFailedError, OSError) as error:
                _log.warning("server.fork.failed", child=name, reason=str(error))
        return await children.start(name, command, pass_fds)

    async def _fork(
        self, channel: socket.socket, name: str, command: Sequence[str], pass_fds: Sequence[int]
    ) -> int:
        number = next(self._numbers)
        module, *arguments = command
        request = {
            "id": number,
            "module": module,
            "arguments": arguments,
            "name": name,
            "fds": list(pass_fds),
            "parent": os.getpid(),
        }
        self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            socket.send_fds(channel, [json.dumps(request).encode()], list(pass_fds))
            return await self._waiting[number]
        finally:
            del self._waiting[number]

    def _receive(self, channel: socket.socket) -> None:
        try:
            data = channel.recv(_ANSWER_BYTES_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose(channel)
            return
        answer: dict[str, Any] = json.loads(data)
        if "ready" in answer:
            self._channel = channel
            self._decided.set()
            return
        future = self._waiting.get(answer["id"])
        if future is None or future.done():
            return
        if "pid" in answer:
            future.set_result(answer["pid"])
        else:
            future.set_exception(ForkFailedError(answer["error"]))

    def _lose(self, channel: socket.socket) -> None:
        """Take the fork server for ended: children wait for the next, or are spawned.

        After one that never was ready they are spawned, until one is.
        """
        asyncio.get_running_loop().remove_reader(channel)
        channel.close()
        if self._channel is channel:
            self._channel = None
            self._decided.clear()
        else:
            self._decided.set()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ForkFailedError("the fork server ended"))


def _become_subreaper() -> bool:
    """Ask to be the parent of what our fork server's forks leave; return whether that works."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        # Before Linux 5.3, or a seccomp filter.
        return False
    return bool(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
