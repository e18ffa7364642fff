"""Children of the server: started so that none outlives it, watched, ended by their own id."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from mediaserver.processes.bootstrap import RELOAD_SIGNAL

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG: Final = 1


class Process(Protocol):
    """A process of ours, spawned (`asyncio.subprocess.Process`) or forked (`ForkedProcess`)."""

    @property
    def pid(self) -> int:
        """Return its process id."""

    @property
    def returncode(self) -> int | None:
        """Return its exit code, negative when a signal ended it, None before it was waited for."""

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""

    def send_signal(self, signal: int) -> None:
        """Send a signal to it."""

    def kill(self) -> None:
        """Send SIGKILL to it."""


class Child:
    """One process that we started.

    Attributes:
        name: Such as ``http-0``; bound to its log lines.
        is_busy: A worker that has been given a stream.
        is_replaced: We end it ourselves, to begin it anew.
    """

    def __init__(self, name: str, process: Process, started_at_s: float) -> None:
        self.name = name
        self.started_at_s = started_at_s
        self.is_busy = False
        self.is_replaced = False
        self._process = process

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Return False once it has ended and been waited for."""
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """Return its exit code, negative when a signal ended it, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end and return its exit code, negative when a signal ended it."""
        return await self._process.wait()

    def terminate(self) -> None:
        """Ask it to drain and end."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_running:
                self._process.send_signal(signal.SIGTERM)

    def reload(self) -> None:
        """Have it read the settings again."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_running:
                self._process.send_signal(RELOAD_SIGNAL)

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            if self.is_running:
                self._process.kill()


async def start(
    name: str,
    command: Sequence[str],
    pass_fds: Sequence[int] = (),
    env: Mapping[str, str] | None = None,
) -> Child:
    """Start ``python -m <command...>``.

    It has a session of its own, so that Ctrl-C in a terminal reaches the server alone, which then
    drains in order; and it dies with the server, however that ends.

    Args:
        env: Added to our own environment: who may list processes reads their arguments.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *command,
        stdin=DEVNULL,
        pass_fds=tuple(pass_fds),
        start_new_session=True,
        env={**os.environ, **env} if env else None,
        # Two system calls and no allocation that could need a lock of the parent.
        preexec_fn=die_with(os.getpid(), signal.SIGKILL),
    )
    return Child(name, process, asyncio.get_running_loop().time())


async def end_all(children: Sequence[Child], timeout_s: float) -> tuple[str, ...]:
    """Ask all to drain, wait, and kill those that are left.

    Returns:
        Names of those that had to be killed.
    """
    for child in children:
        child.terminate()
    waits = [asyncio.ensure_future(child.wait()) for child in children]
    if not waits:
        return ()
    await asyncio.wait(waits, timeout=max(timeout_s, 0))
    late = tuple(child.name for child in children if child.is_running)
    for child in children:
        child.kill()
    await asyncio.wait(waits)
    return late


def die_with(parent: int, number: int) -> Callable[[], None]:
    """Return what a child runs before its program, so that it gets a signal when `parent` dies."""

    def before_exec() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        # The parent may have died before the call above: then nobody would ever send the signal.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec
