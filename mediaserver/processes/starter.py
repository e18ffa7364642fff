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
from mediaserver.processes import children, fork_server
from mediaserver.processes.bootstrap import EXIT_FAILED, Start
from mediaserver.processes.children import Child
from mediaserver.processes.fork_server import MODULE, NAME

AGAIN_S: Final = 1.0
"""Until a child that could not be started is tried again: what is lacking is the machine's."""
ANSWER_TIMEOUT_S: Final = 20.0
"""For the fork server's answer, which takes milliseconds: later it is taken for stuck."""
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

    def __init__(
        self,
        modules: Sequence[str],
        options: Sequence[str],
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """Prepare; `start_fork_server` comes before `start` forks anything.

        Args:
            modules: What the fork server imports before its first fork.
            options: Of its command line, as children get them.
        """
        self._modules = tuple(modules)
        self._options = tuple(options)
        self._answer_timeout_s = answer_timeout_s
        self._fork_server: Child | None = None
        self._groups: set[int] = set()
        self._channel: socket.socket | None = None
        self._forked_here: tuple[int, socket.socket] | None = None
        self._decided = asyncio.Event()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self.can_fork = _become_subreaper()
        if not self.can_fork:
            self._decided.set()

    def fork_here(self, start: Start) -> None:
        """Fork the first fork server from this process, before it has a thread or a loop.

        What both have imported is in memory once: 7 MB (bench/idle.py). One that takes its place
        later is spawned.
        """
        if not self.can_fork or fork_server.unsafe():
            return
        ours, theirs = _channel()
        with theirs:
            try:
                pid = fork_server.fork_here(theirs.fileno(), self._modules, start, self._options)
            except OSError:
                ours.close()  # it is spawned, and tried again while there is no room for it
                return
        self._forked_here = pid, ours

    async def start_fork_server(self) -> Child:
        """Start it, once the one before has ended; `start` waits until it has imported all."""
        self._wait_for_strays()
        while True:
            try:
                return await self._start_fork_server()
            except OSError as error:
                await _wait_after(error, NAME)

    def _wait_for_strays(self) -> None:
        """Wait for what fork servers that ended in the middle of a fork have left to us.

        Until it is announced and has a session of its own, a child is in the fork server's process
        group; nobody else waits for it.
        """
        if self._fork_server is not None:
            self._groups.add(self._fork_server.pid)
        for group in list(self._groups):
            try:
                while os.waitpid(-group, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                self._groups.discard(group)

    async def _start_fork_server(self) -> Child:
        if self._forked_here is not None:
            (pid, ours), self._forked_here = self._forked_here, None
            child = Child(NAME, _taken_over(pid), asyncio.get_running_loop().time())
        else:
            child, ours = await self._spawn_fork_server()
        self._fork_server = child
        asyncio.get_running_loop().add_reader(ours, self._receive, ours)
        return child

    async def _spawn_fork_server(self) -> tuple[Child, socket.socket]:
        ours, theirs = _channel()
        with theirs:
            number = theirs.fileno()
            command = (MODULE, *self._options, "--channel-fd", str(number))
            command += ("--modules", ",".join(self._modules))
            try:
                return await children.start(NAME, command, pass_fds=(number,)), ours
            except OSError:
                ours.close()
                raise

    async def start(self, name: str, command: Sequence[str], pass_fds: Sequence[int] = ()) -> Child:
        """Start ``python -m <command...>`` as `children.start` does, by a fork if it can be.

        While there is no process, memory or file for it, it is tried again.
        """
        while True:
            try:
                return await self._start(name, command, pass_fds)
            except OSError as error:
                await _wait_after(error, name)

    async def _start(self, name: str, command: Sequence[str], pass_fds: Sequence[int]) -> Child:
        await self._decided.wait()
        if self._channel is not None:
            try:
                pid = await self._fork(self._channel, name, command, pass_fds)
                return Child(name, _taken_over(pid), asyncio.get_running_loop().time())
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
            async with asyncio.timeout(self._answer_timeout_s):
                return await self._waiting[number]
        except TimeoutError as error:
            # It must not fork this child later, when another runs in its place.
            if self._fork_server is not None:
                self._fork_server.kill()
            reason = f"no answer within {self._answer_timeout_s:g} s: the fork server was ended"
            raise ForkFailedError(reason) from error
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
            if "pid" in answer:
                _taken_over(answer["pid"]).kill()  # it came too late: nobody expects it
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


async def _wait_after(error: OSError, name: str) -> None:
    _log.error("server.start.failed", child=name, reason=str(error), again_s=AGAIN_S)
    await asyncio.sleep(AGAIN_S)


def _taken_over(pid: int) -> ForkedProcess:
    """Return a process that was forked for us, or end it: one that nobody waits for must not run.

    Raises:
        OSError: No descriptor is left to wait for it with.
    """
    try:
        return ForkedProcess(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _channel() -> tuple[socket.socket, socket.socket]:
    """Return our end, which does not block, and the fork server's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


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
