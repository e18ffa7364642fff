"""A WHIP server with a recording sink, and publishers that are real programs."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from mediaserver.clock import SystemClock
from mediaserver.ingest import whip
from mediaserver.ingest.settings import IngestSettings
from mediaserver.media import AccessUnit, SenderReport, Track

KEY = "stream-key"
AUTH = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/sdp"}
Client = TestClient[web.Request, web.Application]
GOLDEN = Path(__file__).parents[2] / "golden"


class RecordingSink:
    """Keeps what it gets, and wakes the tests that wait for it."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.units: list[AccessUnit] = []
        self.reports: list[SenderReport] = []
        self.times: dict[str, float] = {}
        self._waiters: set[asyncio.Event] = set()

    def mark(self, name: str) -> None:
        self.times.setdefault(name, time.monotonic())
        for waiter in list(self._waiters):
            waiter.set()

    def publisher_connected(
        self, session_id: str, tracks: frozenset[Track], user_agent: str
    ) -> None:
        self.events.append(("connected", session_id, tracks, user_agent))
        self.mark("connected")

    def access_unit(self, unit: AccessUnit) -> None:
        self.units.append(unit)
        self.mark("idr" if unit.is_idr and unit.track is Track.VIDEO else "unit")

    def sender_report(self, report: SenderReport) -> None:
        self.reports.append(report)
        self.mark("report")

    def publisher_gone(self, session_id: str, reason: str) -> None:
        self.events.append(("gone", session_id, reason))
        self.mark("gone")

    def of(self, track: Track) -> list[AccessUnit]:
        return [unit for unit in self.units if unit.track is track]

    def reasons(self) -> list[str]:
        return [event[2] for event in self.events if event[0] == "gone"]

    async def until(self, condition: Callable[[], Any], seconds: float = 10.0) -> None:
        """Return once `condition()` is true; looked at whenever something was recorded."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await waiter.wait()
                    waiter.clear()
        finally:
            self._waiters.discard(waiter)


@contextlib.asynccontextmanager
async def serving(
    **changes: Any,
) -> AsyncIterator[tuple[Client, whip.WhipEndpoint, RecordingSink]]:
    """Yield (client, endpoint, sink) of a running WHIP endpoint."""
    settings = IngestSettings(**changes)
    sink = RecordingSink()
    endpoint = whip.WhipEndpoint(settings, sink, SystemClock(), "w1", lambda key: key == KEY)
    app = web.Application()
    app.router.add_post("/{slug}/whip", endpoint.post)
    app.router.add_get("/{slug}/whip", whip.endpoint_get)
    app.router.add_options("/{slug}/whip", whip.endpoint_options)
    for method in ("PATCH", "DELETE", "GET", "OPTIONS"):
        app.router.add_route(method, "/{slug}/whip/{session}", endpoint.session)
    app.router.add_get("/blank", blank)
    client = TestClient(TestServer(app))
    await client.start_server()
    try:
        yield client, endpoint, sink
    finally:
        await endpoint.close()
        await client.close()


async def blank(_request: web.Request) -> web.Response:
    return web.Response(text="<html></html>", content_type="text/html")


@contextlib.asynccontextmanager
async def ffmpeg(
    client: Client, directory: Path, seconds: float, kind: str = "av", *extra: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Publish with FFmpeg's muxer; yield the process, whose output is its story."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("publish.py")),
        str(client.make_url("/show/whip")),
        KEY,
        str(seconds),
        kind,
        str(directory),
        *extra,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
