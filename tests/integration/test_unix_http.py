"""Requests that an HTTP process hands on: whatever a stranger writes, only what is meant passes."""

import asyncio
import json
from pathlib import Path
from typing import Self

import pytest
from aiohttp import web

from mediaserver.http.unix_http import Proxy, client
from mediaserver.processes.metrics_endpoint import Scrape
from tests.support.clock import FakeClock

REPORT = json.dumps({"name": "evil", "pid": 1, "socket": "x", "stream": None, "state": "idle"})


class Front:
    """What `processes.http` does with ``/api/``, before a control that remembers what it heard."""

    def __init__(self, run_dir: Path) -> None:
        self.heard: list[str] = []
        self.agents: list[str | None] = []
        self.proxy = Proxy(run_dir, body_wait_s=0.1)
        self.run_dir = run_dir
        self.socket = "control.sock"

    async def __aenter__(self) -> Self:
        control = web.Application()
        control.router.add_route("*", "/{tail:.*}", self._control)
        front = web.Application()
        front.router.add_route("*", "/{tail:.*}", self._front)
        self.runners = [
            web.AppRunner(app, access_log=None, shutdown_timeout=0.1) for app in (control, front)
        ]
        for runner in self.runners:
            await runner.setup()
        await web.UnixSite(self.runners[0], str(self.run_dir / "control.sock")).start()
        site = web.TCPSite(self.runners[1], "127.0.0.1", 0)
        await site.start()
        self.port = self.runners[1].addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.proxy.__aexit__()
        for runner in reversed(self.runners):
            await runner.cleanup()

    async def ask(
        self, head: str, body: str = "", *, is_whole: bool = True, fields: str = ""
    ) -> bytes:
        """Return the status line of the answer to raw bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        length = len(body) + (0 if is_whole else 9)
        lines = f"{head} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
        writer.write(lines.encode())
        line = await reader.readline()
        writer.close()
        return line

    async def _front(self, request: web.Request) -> web.StreamResponse:
        assert request.path.startswith("/api/")
        return await self.proxy.forward(request, self.socket, "192.0.2.7", 1 << 20)

    async def _control(self, request: web.Request) -> web.Response:
        self.heard.append(request.path)
        self.agents.append(request.headers.get("User-Agent"))
        return web.Response(status=204)


@pytest.mark.parametrize(
    "path",
    ["/api/../internal/workers", "/api/%2e%2e/internal/workers", "/api/x/../../internal/workers"],
)
async def test_a_path_with_dots_never_leaves_the_api(redis_folder, path) -> None:
    """Nobody outside can speak as a worker: what begins with /api/ arrives as it was sent."""
    async with Front(redis_folder) as front:
        await front.ask(f"POST {path}", REPORT)

    assert [heard for heard in front.heard if not heard.startswith("/api/")] == []


@pytest.mark.parametrize("path", ["/api/v1/a%20b?x=%2F..", "http://evil/api/v1/a", "/api//v1"])
async def test_an_odd_address_is_forwarded_as_it_came(redis_folder, path) -> None:
    """An address in any form that HTTP allows has an answer, not a fault."""
    async with Front(redis_folder) as front:
        line = await front.ask(f"GET {path}")

    assert b" 204 " in line


async def test_a_body_that_does_not_come_is_not_waited_for(redis_folder) -> None:
    """A request that never ends does not hold its connection indefinitely."""
    async with Front(redis_folder) as front:
        line = await front.ask("POST /api/v1/streams", "{", is_whole=False)

    assert b" 408 " in line
    assert front.heard == []


async def test_a_client_of_a_worker_that_is_gone_is_let_go(redis_folder) -> None:
    """Weeks of shows, each with a worker of its own, leave nothing behind in an HTTP process."""
    async with Front(redis_folder) as front:
        for number in range(5):
            worker = redis_folder / f"worker-{number}.sock"
            worker.touch()
            front.socket = worker.name
            await front.ask("GET /api/v1/streams")
            worker.unlink()
        front.socket = "control.sock"
        await front.ask("GET /api/v1/streams")

        assert list(front.proxy._clients) == ["control.sock"]


async def test_a_hundred_scrapes_at_once_are_one(redis_folder) -> None:
    """Who asks for metrics in a loop does not set every process to work each time."""
    async with Front(redis_folder) as front:
        scrape = Scrape(redis_folder, "http-0.sock", lambda: "")
        await asyncio.gather(*(scrape.text() for _ in range(100)))

    assert front.heard == ["/internal/metrics"]


async def test_a_l5_metrics_are_kept_for_a_second(redis_folder) -> None:
    """One request after the other costs no more than many at once."""
    clock = FakeClock()
    async with Front(redis_folder) as front:
        scrape = Scrape(redis_folder, "http-0.sock", lambda: "", clock.monotonic)
        for _ in range(21):
            await scrape.text()
            clock.move(0.1)

    assert front.heard == ["/internal/metrics"] * 3


@pytest.mark.parametrize("agent", [None, "Mozilla/5.0 (OBS-Studio/31.0.0; Linux x86_64; en-US)"])
async def test_r16_user_agent_is_the_publishers_own_or_none(redis_folder, agent) -> None:
    """`whip.session.opened` names who publishes, never the library that forwards."""
    async with Front(redis_folder) as front:
        await front.ask("POST /api/v1/a", fields=f"User-Agent: {agent}\r\n" if agent else "")

    assert front.agents == [agent]


async def test_a_cookie_that_is_set_for_one_browser_is_never_sent_for_another(tmp_path) -> None:
    """One client of ours speaks for everybody: with a jar, the next to come was signed in too."""
    heard: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Cookie"))
        response = web.Response()
        response.set_cookie("vilokanam", "ann's")
        return response

    control = web.Application()
    control.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(control, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "control.sock")).start()
    session = client(tmp_path / "control.sock", 5)
    try:
        for _ in range(2):
            async with session.get("http://localhost/api/v1/me") as told:
                assert told.cookies["vilokanam"].value == "ann's"
    finally:
        await session.close()
        await runner.cleanup()
    assert heard == [None, None]
