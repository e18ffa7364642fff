"""Children forked from one process: each is its own, as if it had been spawned."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from mediaserver.processes.fork_server import unsafe
from mediaserver.processes.starter import Starter
from tests.integration.test_server import (
    CHILD,
    Running,
    command_line,
    eventually,
    is_alive,
    is_started,
    standins,
    starts,
)

FORK_SERVER = "mediaserver.processes.fork_server"
assert standins, "the fixture of the stand-ins is this file's too"
THREADED = """
import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
"""


def first_line(pid, name):
    return Path(f"/proc/{pid}/{name}").read_text().splitlines()[0]


async def test_every_child_is_forked_and_is_a_child_of_the_server(tmp_path) -> None:
    """The server waits for them and ends them itself; `ps` shows which is which."""
    async with Running(tmp_path, HTTP_PROCESSES="2") as server:
        events = await server.until(
            lambda e: is_started(e, "control", "http-0", "http-1", "workerw1")
        )
        pids = {who: pid for who, _, pid in events}
        children, lines = server.children(), {pid: command_line(pid) for pid in pids.values()}
        names = {first_line(pid, "comm") for pid in pids.values()}
        texts = {first_line(pid, "maps") for pid in pids.values()}

    assert set(pids.values()) < children
    assert f"-m standins.http --data-dir {server.data} --index 1" in lines[pids["http-1"]]
    assert lines[pids["workerw1"]].startswith(f"{sys.executable} -m standins.worker ")
    assert names == {"control", "http-0", "http-1", "w1"}
    assert len(texts) == 1, "forked: programs that are started are placed at random"


async def test_a_child_inherits_nothing_but_what_it_was_given(tmp_path) -> None:
    """No file of the fork server or of a sibling stays open: a pipe, or where it listens."""
    async with Running(tmp_path) as server:
        events = await server.until_all_run()
        pids = {who: pid for who, _, pid in events}
        facts = {who: server.facts(who) for who in pids}

    for name, kind in (("http-0", "socket"), ("workerw1", "pipe"), ("control", "pipe")):
        assert [file.partition(":")[0] for file in facts[name]["files"]] == [kind]
    for who, pid in pids.items():
        assert facts[who]["session"] == pid
        assert facts[who]["parent"] == server.process.pid
        assert facts[who]["stdin"] == "/dev/null"


async def test_no_two_children_draw_the_same_random_numbers(tmp_path) -> None:
    """Session ids and nonces of one process say nothing of another's."""
    async with Running(tmp_path, HTTP_PROCESSES="3") as server:
        names = ("http-0", "http-1", "http-2")
        await server.until(lambda e: is_started(e, "control", "workerw1", *names))
        drawn = [tuple(server.facts(name)["random"]) for name in names]

    for values in zip(*drawn, strict=True):
        assert len(set(values)) == len(names)


async def test_children_outlive_the_fork_server_and_the_next_one_forks(tmp_path) -> None:
    """Kill -9 of the fork server interrupts no stream and no viewer."""
    async with Running(tmp_path) as server:
        events = await server.until_all_run()
        pids = {pid for _, _, pid in events}
        first = server.child_like(FORK_SERVER)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: server.child_like(FORK_SERVER) not in (0, first))
        (server.data / "die-http-0").touch()
        events = await server.until(lambda e: starts(e, "http-0") == 2)
        started = [pid for who, what, pid in events if (who, what) == ("http-0", "start")]

        assert pids - {started[0]} < server.children()
        assert all(is_alive(pid) for pid in pids - {started[0]})
        assert server.facts("http-0")["parent"] == server.process.pid


async def test_children_are_spawned_while_no_fork_server_comes_up(tmp_path, standins) -> None:
    """A fork server that cannot import what it shares does not keep the server from serving."""
    (standins / "http.py").write_text("import sys\nsys.exit(9)\n")
    async with Running(tmp_path) as server:
        await server.until(lambda e: is_started(e, "control", "workerw1"))
        (standins / "http.py").write_text(CHILD.replace("{kind}", "http"))

        await server.until(lambda e: is_started(e, "http-0"))


async def test_a_thread_after_the_imports_means_no_forks(tmp_path, standins) -> None:
    """Forking beside a thread can deadlock the child: it is spawned, and serves as well."""
    (standins / "http.py").write_text(THREADED + CHILD.replace("{kind}", "http"))
    async with Running(tmp_path) as server:
        events = await server.until_all_run()
        assert not server.child_like(FORK_SERVER)
        assert {pid for _, _, pid in events} < server.children()

        (server.data / "die-control").touch()
        await server.until(lambda e: starts(e, "control") == 2)


def test_a_process_with_a_thread_says_why_it_must_not_fork() -> None:
    """The reason goes to the log."""
    import threading

    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        assert "threads" in unsafe()
    finally:
        gate.set()
        thread.join()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("return 7", 7),
        ("return None", 0),
        ("sys.exit(78)", 78),
        ("raise ValueError('as a program that ends with a traceback')", 1),
        ("os.kill(os.getpid(), 11)", -11),
        ("os.kill(os.getpid(), 9)", -9),
    ],
)
async def test_the_exit_code_is_that_of_a_spawned_process(tmp_path, standins, body, code) -> None:
    """The server decides by it whether to restart or to stop."""
    (standins / "ends.py").write_text(f"import os, sys\ndef main(argv):\n    {body}\n")
    starter = Starter(("standins.ends",), ("--data-dir", str(tmp_path)))
    fork_server = await starter.start_fork_server()
    try:
        child = await starter.start("ends", ("standins.ends", "--name", "x"))

        assert await child.wait() == code
        assert child.exit_code == code
        assert not child.is_running
    finally:
        fork_server.kill()
        await fork_server.wait()


async def test_a_given_file_has_its_number_in_the_child(tmp_path, standins) -> None:
    """The child's command line names the number."""
    (standins / "ends.py").write_text(
        "import os\ndef main(argv):\n    os.write(int(argv[1]), b'here')\n"
    )
    starter = Starter(("standins.ends",), ("--data-dir", str(tmp_path)))
    fork_server = await starter.start_fork_server()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = theirs.fileno()
        command = ("standins.ends", "--notify-fd", str(number))
        child = await starter.start("ends", command, (number,))
        assert await child.wait() == 0
        assert ours.recv(16) == b"here"
    fork_server.kill()
    await fork_server.wait()


async def test_a_child_ends_with_its_server_though_the_fork_server_is_gone(tmp_path) -> None:
    """Whatever dies first, nobody is left who holds the port or the book."""
    async with Running(tmp_path) as server:
        events = await server.until_all_run()
        pids = {pid for _, _, pid in events}
        os.kill(server.child_like(FORK_SERVER), signal.SIGKILL)
        server.process.kill()

        await eventually(lambda: not any(is_alive(pid) for pid in pids))


async def test_many_workers_at_once_start_within_the_time_of_a_few(tmp_path) -> None:
    """Twenty publishers who come together do not wait for twenty imports."""
    async with Running(tmp_path, WORKER_SPARES="16") as server:
        names = [f"workerw{number}" for number in range(1, 17)]
        events = await server.until(lambda e: is_started(e, "control", *names))

    assert len({pid for who, _, pid in events if who.startswith("worker")}) == 16


async def test_a_stopped_server_leaves_no_fork_server(tmp_path) -> None:
    """SIGTERM ends it with the others."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        pid = server.child_like(FORK_SERVER)
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 10) == 0

    assert not is_alive(pid)
