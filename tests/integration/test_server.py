"""The server as parent: real processes, small stand-ins for control, HTTP and workers."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

CHILD = """
import argparse, json, os, random, signal, sys, time
from pathlib import Path

def main(argv=None):
    p = argparse.ArgumentParser()
    for name in ("config", "data-dir", "index", "name", "notify-fd", "listen-fds"):
        p.add_argument("--" + name)
    a = p.parse_args(argv)
    me = "{kind}" + ("-" + a.index if a.index else "") + (a.name or "")
    run = Path(a.data_dir)
    def write(what, **facts):
        if facts:
            # Whole, and before the event: who has seen that reads it.
            (run / f"new-{me}").write_text(json.dumps(facts))
            (run / f"new-{me}").replace(run / f"facts-{me}")
        with open(run / "events", "a") as f:
            f.write(json.dumps([me, what, os.getpid()]) + "\\n")
    def end(*_):
        write("term")
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    files = [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3, 300)
             if os.path.exists(f"/proc/self/fd/{fd}")]
    write("start", files=files, random=[random.random(), os.urandom(8).hex()],
          session=os.getsid(0), parent=os.getppid(), stdin=os.readlink("/proc/self/fd/0"))
    def look():
        if (run / ("die-" + me)).exists():
            (run / ("die-" + me)).unlink()
            sys.exit(int((run / "code").read_text()) if (run / "code").exists() else 3)
        if (run / ("busy-" + me)).exists():
            (run / ("busy-" + me)).unlink()
            os.write(int(a.notify_fd), b"busy\\n")
        if (run / ("waiting-" + me)).exists():
            words = (run / ("waiting-" + me)).read_bytes()
            (run / ("waiting-" + me)).unlink()
            os.write(int(a.notify_fd), words)
    while True:
        look()
        time.sleep(0.02)

if __name__ == "__main__":
    sys.exit(main())
"""

RUN = """
import sys
from mediaserver.processes import bootstrap, server
start = bootstrap.begin(bootstrap.parser("").parse_args())
made = server.Server(start, "standins")
made.starter.fork_here(start)
try:
    sys.exit(bootstrap.run("server", start.settings, made.run))
except bootstrap.StartRefusedError as error:
    sys.exit(bootstrap.refuse(error))
"""


@pytest.fixture(autouse=True)
def standins(tmp_path, monkeypatch):
    """Let the server find stand-ins for its children."""
    folder = tmp_path / "lib" / "standins"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    for kind in ("control", "http", "worker"):
        (folder / f"{kind}.py").write_text(CHILD.replace("{kind}", kind))
    root = Path(__file__).resolve().parents[2]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "lib"), str(root))))
    return folder


class Running:
    """One server process under test."""

    def __init__(self, tmp_path, **environ):
        self.data = tmp_path / "data"
        self.environ = {
            **os.environ,
            "VILOKANAM_SERVER__PORT": str(free_port()),
            "VILOKANAM_LOG__LEVEL": "error",
            **{f"VILOKANAM_SERVER__{key}": value for key, value in environ.items()},
        }

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            RUN,
            "--data-dir",
            str(self.data),
            env=self.environ,
            stderr=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.communicate(), 20)

    def events(self):
        path = self.data / "events"
        return [json.loads(one) for one in path.read_text().splitlines()] if path.exists() else []

    async def until(self, condition, timeout_s=15.0):
        async with asyncio.timeout(timeout_s):
            while not condition(self.events()):
                if self.process.returncode is not None:
                    pytest.fail((await self.process.stderr.read()).decode())
                await asyncio.sleep(0.02)
        return self.events()

    async def until_all_run(self):
        return await self.until(lambda e: is_started(e, "control", "http-0", "workerw1"))

    def children(self):
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return {int(pid) for pid in path.read_text().split()}

    def child_like(self, words):
        """Return the process id of the one child whose command line holds `words`, 0 for none."""
        found = [pid for pid in self.children() if words in command_line(pid)]
        return found[0] if found else 0

    def facts(self, name):
        return json.loads((self.data / f"facts-{name}").read_text())


async def eventually(condition):
    async with asyncio.timeout(10):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def command_line(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    return ""


def starts(events, name):
    return [what for who, what, _ in events if who == name].count("start")


def is_started(events, *names):
    return all(starts(events, name) for name in names)


def is_alive(pid):
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_all_processes_start_and_end_in_order(tmp_path) -> None:
    """Stopping tells workers first, HTTP next, control last, and leaves nobody."""
    async with Running(tmp_path, HTTP_PROCESSES="2") as server:
        events = await server.until(
            lambda e: is_started(e, "control", "http-0", "http-1", "workerw1")
        )
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 10) == 0

    ends = [who for who, what, _ in server.events() if what == "term"]
    assert ends[0] == "workerw1"
    assert set(ends[1:3]) == {"http-0", "http-1"}
    assert ends[3] == "control"
    assert not any(is_alive(pid) for _, _, pid in events)


async def test_a_busy_worker_is_replaced_by_one_new_spare(tmp_path) -> None:
    """The next publisher finds a warm worker."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        (server.data / "busy-workerw1").touch()
        events = await server.until(lambda e: is_started(e, "workerw2"))

    assert not is_started(events, "workerw3")


async def test_r7_a_worker_starts_for_each_publisher_that_waits(tmp_path) -> None:
    """Five publishers at once do not queue for one spare after the other."""
    async with Running(tmp_path, WORKERS_MAX="5") as server:
        await server.until_all_run()
        (server.data / "new").write_text("2\n8\n")
        (server.data / "new").rename(server.data / "waiting-control")
        await server.until(lambda e: is_started(e, *(f"workerw{n}" for n in range(1, 6))))
        (server.data / "die-http-0").touch()
        events = await server.until(lambda e: starts(e, "http-0") == 2)

    assert not is_started(events, "workerw6")


async def test_no_more_workers_than_the_machine_may_have(tmp_path) -> None:
    """`workers_max` holds, spares included."""
    async with Running(tmp_path, WORKERS_MAX="1") as server:
        await server.until_all_run()
        (server.data / "busy-workerw1").touch()
        await server.until(lambda _: not (server.data / "busy-workerw1").exists())
        (server.data / "die-http-0").touch()
        events = await server.until(lambda e: starts(e, "http-0") == 2)

    assert not is_started(events, "workerw2")


@pytest.mark.parametrize(
    ("who", "then", "count"),
    [("control", "control", 2), ("http-0", "http-0", 2), ("workerw1", "workerw2", 1)],
)
async def test_whatever_dies_is_started_again(tmp_path, who, then, count) -> None:
    """A crash of one process is healed without an operator."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        (server.data / f"die-{who}").touch()

        await server.until(lambda e: starts(e, then) == count)


async def test_a_process_that_needs_its_operator_stops_the_server(tmp_path) -> None:
    """What only a person can mend is said once, not in a loop of restarts."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        (server.data / "code").write_text("78")
        (server.data / "die-control").touch()

        assert await asyncio.wait_for(server.process.wait(), 10) == 78


async def test_nobody_outlives_a_killed_server(tmp_path) -> None:
    """After kill -9 of the parent there is no process left to hold the port or the data."""
    async with Running(tmp_path) as server:
        events = await server.until_all_run()
        pids = server.children()
        assert {pid for _, _, pid in events} < pids, "and Redis"

        server.process.kill()
        await eventually(lambda: not any(is_alive(pid) for pid in pids))


async def test_redis_is_started_again_when_it_dies(tmp_path) -> None:
    """Metering goes on after a crash of the embedded Redis."""
    async with Running(tmp_path) as server:
        await server.until_all_run()
        redis = server.child_like("redis.sock")
        os.kill(redis, signal.SIGKILL)

        await eventually(lambda: server.child_like("redis.sock") not in (0, redis))


async def test_two_servers_never_share_a_data_directory(tmp_path) -> None:
    """The second server says who has the directory."""
    async with Running(tmp_path) as first:
        await first.until(lambda e: is_started(e, "control"))
        async with Running(tmp_path) as second:
            _, stderr = await asyncio.wait_for(second.process.communicate(), 10)

    assert second.process.returncode == 78
    assert f"is in use by the server with process id {first.process.pid}" in stderr.decode()


async def test_a_busy_port_is_named_with_what_to_do(tmp_path) -> None:
    """Another program on the port is told at once, before anything is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with Running(tmp_path, PORT=str(port)) as server:
            _, stderr = await asyncio.wait_for(server.process.communicate(), 10)

    assert server.process.returncode == 78
    assert f"server.port: {port} on 127.0.0.1 is in use" in stderr.decode()
    assert "--port" in stderr.decode()
    assert server.events() == []


async def test_a_child_that_does_not_end_is_killed_in_time(tmp_path, standins) -> None:
    """A wedged process cannot hold up the stop beyond the drain time-out."""
    (standins / "http.py").write_text(
        CHILD.replace("{kind}", "http").replace("signal.SIGTERM, end", "signal.SIGTERM, 1")
    )
    async with Running(tmp_path, DRAIN_TIMEOUT_S="2") as server:
        await server.until_all_run()
        begin = asyncio.get_running_loop().time()
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(server.process.wait(), 10) == 0
        took_s = asyncio.get_running_loop().time() - begin

    assert took_s < 3
    assert not any(is_alive(pid) for _, _, pid in server.events())
