"""A server that lacks a descriptor, a reader of its log or a standard stream."""

import contextlib
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

from mediaserver.processes.starter import Starter
from tests.integration.test_server import Running, eventually, standins, starts

assert standins, "the fixture of the stand-ins is this file's too"
AS_PROGRAM = "if __name__ == '__main__':\n    sys.exit(main([]))\n"
STRAY = """
import os, pathlib

def warm_up(settings):
    if pathlib.Path("{flag}").exists():
        return
    pathlib.Path("{flag}").touch()
    between = os.fork()
    if between == 0:
        os.fork()
        os._exit(0)
    os.waitpid(between, 0)
"""
CLOSED = """
import asyncio, os, sys
from mediaserver.processes import bootstrap
from mediaserver.settings.records import Settings

async def main(stop):
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()
    writer.close()
    server.close()
    return 7

sys.exit(bootstrap.run("test", Settings(), main))
"""


async def test_a_child_that_cannot_be_started_for_now_is_tried_again(tmp_path) -> None:
    """A machine that is out of files or processes for a moment loses no part of the server."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        pid = server.process.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        (server.data / "die-http-0").touch()
        line = (await server.process.stderr.readline()).decode()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        await eventually(lambda: server.child_like("standins.http"))

    assert '"event": "server.start.failed"' in line
    assert '"child": "http-0"' in line
    assert "Too many open files" in line


async def test_no_worker_leaves_its_socket(tmp_path) -> None:
    """Thirty killed workers left thirty sockets, each tried at every scrape of the metrics."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        path = server.data / "run" / "worker-w1.sock"
        path.touch()
        (server.data / "die-workerw1").touch()

        await eventually(lambda: not path.exists())


async def test_a_fork_server_with_few_files_forks(tmp_path) -> None:
    """With a limit of 64 no child came up that has a pipe to the server, and none was spawned."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        fork_server = server.child_like("mediaserver.processes.fork_server")
        _, hard = resource.prlimit(fork_server, resource.RLIMIT_NOFILE)
        resource.prlimit(fork_server, resource.RLIMIT_NOFILE, (64, hard))
        (server.data / "die-control").touch()

        await server.until(lambda e: starts(e, "control") == 2)


async def test_a_given_file_may_have_any_number(tmp_path, standins) -> None:
    """The worker of a server that had 256 files open could not say that it was busy."""
    (standins / "ends.py").write_text(
        "import os\ndef main(argv):\n    os.write(int(argv[1]), b'here')\n"
    )
    starter = Starter(("standins.ends",), ("--data-dir", str(tmp_path)))
    fork_server = await starter.start_fork_server()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for least in (256, 257, 300):
            number = fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD, least)
            try:
                command = ("standins.ends", "--notify-fd", str(number))
                child = await starter.start("ends", command, (number,))
                assert await child.wait() == 0
            finally:
                os.close(number)
            assert ours.recv(16) == b"here"
    fork_server.kill()
    await fork_server.wait()


async def test_a_fork_server_that_is_stuck_is_ended_and_the_child_spawned(
    tmp_path, standins
) -> None:
    """Stopped or swapped out, it kept every viewer away until it went on."""
    (standins / "ends.py").write_text("import sys\ndef main(argv):\n    return 5\n" + AS_PROGRAM)
    starter = Starter(("standins.ends",), ("--data-dir", str(tmp_path)), answer_timeout_s=0.5)
    fork_server = await starter.start_fork_server()
    assert await (await starter.start("ends", ("standins.ends",))).wait() == 5
    os.kill(fork_server.pid, signal.SIGSTOP)

    child = await starter.start("ends", ("standins.ends",))

    assert await child.wait() == 5
    assert await fork_server.wait() == -signal.SIGKILL


async def test_what_a_killed_fork_server_had_half_forked_is_waited_for(tmp_path, standins) -> None:
    """Each such child stayed in the list of processes until the server ended."""
    (standins / "ends.py").write_text(STRAY.replace("{flag}", str(tmp_path / "flag")))
    starter = Starter(("standins.ends",), ("--data-dir", str(tmp_path)))
    before = zombies()
    first = await starter.start_fork_server()
    await eventually(lambda: zombies() - before)
    first.kill()
    await first.wait()

    second = await starter.start_fork_server()

    assert zombies() <= before
    second.kill()
    await second.wait()


def zombies() -> set[str]:
    """Return our children that have ended and were not waited for.

    Other tests of this process leave some: what a browser or a server that they killed had started
    is ours once a `Starter` has made this process the subreaper.
    """
    ended = set()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            if words[:2] == ["Z", str(os.getpid())]:
                ended.add(folder.name)
    return ended


def test_a_process_runs_without_standard_streams() -> None:
    """A supervisor may start us with all of them closed: uvloop aborted at the first connection."""
    closed = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', sys.executable, "-c", CLOSED]

    done = subprocess.run(closed, check=False, timeout=60)

    assert done.returncode == 7
