"""What systemd hears of the server, and the unit that it is run by."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from mediaserver.processes.service_manager import ServiceManager, missing
from mediaserver.settings.shipped import socket_unit_text

UNIT = Path(__file__).resolve().parents[3] / "examples/systemd/vilokanam.service"
EXPOSURE_MAX = 20
"""Of `systemd-analyze security`, in tenths: "OK" ends at 49, and the guide's first unit had 92."""


@pytest.fixture
def manager(tmp_path):
    """A manager's socket; gives it with the environment of a service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.setblocking(False)
        environ = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "20000000",
            "WATCHDOG_PID": str(os.getpid()),
        }
        yield channel, environ


async def heard(channel):
    async with asyncio.timeout(10):
        return (await asyncio.get_running_loop().sock_recv(channel, 1024)).decode()


@contextlib.asynccontextmanager
async def ready_at(answers):
    """Serve `/readyz` with each of some answers in turn; gives the port."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head, _, body = answers.pop(0).partition("\r\n\r\n")
        writer.write(f"{head}\r\n\r\n".encode())
        await writer.drain()
        writer.write(body.encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


WAITS = 'HTTP/1.0 503 Service Unavailable\r\n\r\n{"ready": false, "faults": ["Redis is away"]}'
READY = 'HTTP/1.0 200 OK\r\n\r\n{"ready": true}'


async def test_o15_started_means_ready_and_waiting_says_for_what(manager):
    """`systemctl start` returns when viewers are served; until then its status has the reason."""
    channel, environ = manager
    service, stop = ServiceManager(environ), asyncio.Event()

    async with ready_at([WAITS, READY]) as port:
        following = asyncio.create_task(service.follow("127.0.0.1", port, stop))
        heard_facts = [await heard(channel) for _ in range(3)]
        stop.set()
        await following

    assert heard_facts == [
        "STATUS=waiting: Redis is away",
        "READY=1",
        f"STATUS=serving on port {port}",
    ]
    assert environ == {}


async def test_o15_the_watchdog_is_fed_twice_in_its_time(manager):
    """A server whose loop hangs is started again; one signal that is lost starts nothing."""
    channel, environ = manager
    service, stop, pauses_s = ServiceManager(environ), asyncio.Event(), []

    async def pause(event, seconds):
        assert await heard(channel) == "WATCHDOG=1"
        pauses_s.append(seconds)
        if len(pauses_s) == 3:
            event.set()

    await service.keep_watchdog(stop, pause)

    assert (service.watchdog_s, pauses_s) == (20.0, [10.0] * 3)


async def test_o15_without_a_manager_nothing_is_asked_or_told():
    """In a terminal there is nobody to tell, and no question is sent."""
    service = ServiceManager({"WATCHDOG_USEC": "20000000"})

    service.tell("READY=1")
    await service.follow("127.0.0.1", 1, asyncio.Event())
    await service.keep_watchdog(asyncio.Event())

    assert not service.is_there
    assert await missing("127.0.0.1", 1) == ["the HTTP processes are starting"]


@pytest.fixture
def unit(tmp_path):
    """The unit with a program that is here: verify looks for it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")
    path = tmp_path / "vilokanam.service"
    path.write_text(UNIT.read_text().replace("/opt/vilokanam/bin/vilokanam", "/bin/true"))
    return path


def analyze(*words):
    return subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_o15_the_unit_is_one_that_systemd_takes(unit):
    """No line of it is unknown or without effect."""
    done = analyze("verify", "--man=no", str(unit))

    assert (done.returncode, done.stderr) == (0, "")


def test_r5_the_unit_of_the_port_is_one_that_systemd_takes(unit):
    """For both families too; it is judged with the service that it starts."""
    socket_unit = unit.with_suffix(".socket")
    socket_unit.write_text(socket_unit_text({"0.0.0.0:443", "[::]:443"}))

    done = analyze("verify", "--man=no", str(socket_unit), str(unit))

    assert "ListenStream=0.0.0.0:443\nListenStream=[::]:443\n" in socket_unit.read_text()
    assert (done.returncode, done.stderr) == (0, "")


def test_o15_the_unit_leaves_little_to_an_attacker(unit):
    """What the server does not need is not there: judged by systemd itself."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", str(unit))

    assert done.returncode == 0, done.stdout


def test_o15_the_unit_says_when_it_is_ready_and_reloads():
    """Type, reload and a stop time above that of the server's own."""
    lines = UNIT.read_text().splitlines()

    for line in ("Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "UMask=0077"):
        assert line in lines
