"""The fork server: imports once what every child needs, then forks a child for each request.

A forked child shares the pages of all that was imported with its siblings, and is there in some
milliseconds. Forking is safe only without other threads, so this process has one: no event loop
runs, it waits in `recv` for the server.

It forks twice and the process between ends at once, so that the child's parent is the server,
which is the subreaper of what it started (starter.py): the server waits for it and signals it as
if it had spawned it, and the end of the fork server ends no child.

The first one is forked from the server itself, before that has a loop, and shares its pages; one
that takes its place is spawned.

The wire is a socket of type SEQPACKET: one JSON object a message. We say ``{"ready": true}``, then
answer each request ``{"id", "module", "arguments", "name", "fds", "parent"}``, whose open files
come with it, by ``{"id", "pid"}`` or ``{"id", "error"}``.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from mediaserver import log
from mediaserver.errors import ConfigError
from mediaserver.processes import bootstrap, library_pages
from mediaserver.processes.bootstrap import EXIT_FAILED, EXIT_OK, EXIT_UNSAFE, Start
from mediaserver.processes.children import die_with
from mediaserver.processes.process_title import set_title
from mediaserver.settings.records import Settings

MODULE: Final = "mediaserver.processes.fork_server"
NAME: Final = "fork-server"
MESSAGE_BYTES_MAX: Final = 1 << 16
FDS_MAX: Final = 64
"""A listening socket for each address of ``server.host``, and a pipe."""
_FIRST_OWN_FD: Final = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A child that the server wants.

    Attributes:
        module: Has ``main(argv) -> int``.
        arguments: Of its command line.
        name: Such as ``http-0``.
        fds: Numbers that the received files have in the child.
        parent: Process id of the server: the child's parent, or the child must not live.
    """

    module: str
    arguments: tuple[str, ...]
    name: str
    fds: tuple[int, ...]
    parent: int


def serve(channel: socket.socket) -> tuple[Request, list[int]] | None:
    """Fork children until the server closes `channel`.

    Returns:
        None in the fork server; in a child, what it is to run and the files it received.
    """
    while True:
        data, fds, _, _ = socket.recv_fds(channel, MESSAGE_BYTES_MAX, FDS_MAX)
        if not data:
            return None
        body: dict[str, Any] = json.loads(data)
        number = body.pop("id")
        arguments, numbers = tuple(body.pop("arguments")), tuple(body.pop("fds"))
        request = Request(**body, arguments=arguments, fds=numbers)
        announce = functools.partial(_announce, channel, number)
        try:
            is_child = _fork(request.parent, announce)
        except OSError as error:
            channel.send(_message(id=number, error=str(error)))
        else:
            if is_child:
                return request, fds
        for fd in fds:
            os.close(fd)


def _fork(parent: int, on_forked: Callable[[int], object]) -> bool:
    """Fork a child of the process `parent`; return whether this is the child.

    Args:
        parent: Process id of the subreaper above us.
        on_forked: Takes the child's process id, before the child goes on: should we be killed
            there, no child lives of which `parent` does not know.
    """
    pid_read, pid_write = os.pipe()
    gate_read, gate_write = os.pipe()
    between = os.fork()
    if between == 0:
        _fork_and_end(pid_write)
        # Only the child comes here.
        for fd in (pid_read, pid_write, gate_write):
            os.close(fd)
        if not os.read(gate_read, 1):
            os._exit(EXIT_FAILED)
        os.close(gate_read)
        die_with(parent, signal.SIGKILL)()
        return True
    os.close(pid_write)
    try:
        text = os.read(pid_read, 32)
        # Once the process between is gone, `parent` is the child's parent, and the child may ask
        # for a signal at its parent's death.
        os.waitpid(between, 0)
        if not text:
            raise OSError("the child could not be forked")
        on_forked(int(text))
        os.write(gate_write, b"1")
    finally:
        for fd in (pid_read, gate_read, gate_write):
            os.close(fd)
    return False


def _fork_and_end(pid_write: int) -> None:
    """Fork the child, write its process id and end; return in the child alone."""
    try:
        pid = os.fork()
        if pid == 0:
            return
        os.write(pid_write, str(pid).encode())
    except OSError:
        os._exit(EXIT_FAILED)
    os._exit(EXIT_OK)


def _announce(channel: socket.socket, number: int, pid: int) -> None:
    channel.send(_message(id=number, pid=pid))


def _message(**facts: object) -> bytes:
    return json.dumps(facts).encode()


def become(request: Request, fds: Sequence[int]) -> int:
    """Turn this forked process into what the server asked for; return its exit code."""
    os.setsid()
    # Nothing of the fork server stays open but the standard streams. What was received waits above
    # all that is open and all numbers that are wanted, however few the limit allows.
    free = 1 + max(*(int(file.name) for file in Path("/proc/self/fd").iterdir()), *request.fds)
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD, free) for fd in fds]
    os.closerange(_FIRST_OWN_FD, free)
    for fd, number in zip(aside, request.fds, strict=True):
        os.dup2(fd, number)
        os.close(fd)
    words = (sys.executable, "-m", request.module, *request.arguments)
    set_title(request.name, words)
    sys.argv = [request.module, *request.arguments]
    gc.enable()
    try:
        return int(importlib.import_module(request.module).main(list(request.arguments)) or 0)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else EXIT_FAILED
    except BaseException:  # noqa: BLE001 - what the interpreter does at its end: say it, exit 1
        traceback.print_exc()
        return EXIT_FAILED


def prepare(modules: Sequence[str], settings: Settings) -> None:
    """Import the modules, let each warm up what its forks would, and make all of it permanent."""
    gc.disable()
    loaded: list[ModuleType] = [importlib.import_module(name) for name in modules]
    for module in loaded:
        if hasattr(module, "warm_up"):
            module.warm_up(settings)
    # A collection in a child must not write to these objects, or their pages are shared no more.
    # None is made here either: what it frees are holes all over the shared pages, which each child
    # fills, and so makes its own; they are 1.1 MB a child.
    gc.freeze()
    library_pages.release()


def unsafe() -> str:
    """Return why this process must not fork, empty when it may."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    return f"{threads} threads run after the imports" if threads > 1 else ""


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m mediaserver.processes.fork_server``."""
    parser = bootstrap.parser("Forks the server's children.")
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--modules", required=True, help="to import, with commas between")
    arguments = parser.parse_args(argv)
    set_title(NAME, sys.orig_argv)
    try:
        settings = bootstrap.begin(arguments).settings
    except ConfigError as error:
        return bootstrap.refuse(error)
    return _prepare_and_serve(arguments.channel_fd, arguments.modules.split(","), settings)


def fork_here(channel_fd: int, modules: Sequence[str], start: Start, options: Sequence[str]) -> int:
    """Fork a fork server from this process, which has no thread and no loop; return its id.

    It shares the pages of what this process has imported, which a spawned one has for itself.

    Args:
        channel_fd: Its end of the channel; all else but the standard streams is closed there.
        options: Of its command line, as `ps` shows it.

    Raises:
        OSError: No process or memory is left for it.
    """
    server = os.getpid()
    gc.freeze()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_FAILED
    try:
        os.setsid()
        die_with(server, signal.SIGKILL)()
        os.dup2(channel_fd, _FIRST_OWN_FD)
        os.closerange(_FIRST_OWN_FD + 1, os.sysconf("SC_OPEN_MAX"))
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - its number is what is wanted
            os.dup2(nothing.fileno(), 0)
        set_title(NAME, (sys.executable, "-m", MODULE, *options))
        code = _prepare_and_serve(_FIRST_OWN_FD, modules, start.settings)
    except BaseException:  # noqa: BLE001 - nothing of the server's may go on here
        traceback.print_exc()
    finally:
        os._exit(code)


def _prepare_and_serve(channel_fd: int, modules: Sequence[str], settings: Settings) -> int:
    """Import the modules and fork until the server closes the channel; return the exit code.

    In a child it does not return.
    """
    log.configure(cast(Any, settings.log.format), settings.log.level, NAME)
    prepare(modules, settings)
    if reason := unsafe():
        log.get("server").warning("server.fork.refused", reason=reason)
        return EXIT_UNSAFE
    with socket.socket(fileno=channel_fd) as channel:
        channel.send(_message(ready=True))
        child = serve(channel)
        if child is None:
            return EXIT_OK
        channel.detach()
    code = become(*child)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    # No destructors: they would write to every page that is shared, and nobody waits for them.
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
