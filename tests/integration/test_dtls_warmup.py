"""A spare worker shakes hands with itself before its first publisher comes."""

import asyncio
from argparse import Namespace

from aiohttp import web

from mediaserver.clock import SystemClock
from mediaserver.ingest import dtls, dtls_warmup
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.worker import Worker
from tests.support.control_server import settings


async def test_a_spare_shakes_hands_with_itself_and_leaves_nothing_behind():
    """A real DTLS handshake, with the certificate that the first publisher will see."""
    before = asyncio.all_tasks()

    assert await dtls_warmup.loopback_handshake(SystemClock())

    assert asyncio.all_tasks() == before
    assert dtls._certificate is not None


async def test_a_spare_that_cannot_is_still_a_worker(monkeypatch):
    """The publisher will get the reason; the worker must not hang or die of it."""
    monkeypatch.setattr(dtls_warmup, "sha256_of", lambda _: "00:" * 31 + "00")

    assert not await dtls_warmup.loopback_handshake(SystemClock())


async def test_a_worker_has_warmed_up_when_it_tells_control_that_it_is_there(tmp_path, monkeypatch):
    """Control gives publishers to workers that reported, so the first one never waits for it."""
    monkeypatch.setattr(dtls, "_certificate", None)
    start, stop = Start(settings(), None, tmp_path, Namespace()), asyncio.Event()
    start.run_dir.mkdir()
    warmed_up: list[bool] = []

    async def note(_: web.Request) -> web.Response:
        warmed_up.append(dtls._certificate is not None)
        stop.set()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/internal/workers", note)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(start.run_dir / "control.sock")).start()
    try:
        async with asyncio.timeout(20):
            await Worker(start, "1", None).run(stop)
    finally:
        await runner.cleanup()

    assert warmed_up == [True]
