"""A worker whose stream is taken down ends its publisher when control says so."""

import asyncio
import json
from argparse import Namespace
from dataclasses import replace

from aiohttp import web

from mediaserver.http import unix_http
from mediaserver.ingest.session import EndReason
from mediaserver.ipc.messages import TAKEN_DOWN_HEADER
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.worker import STREAM_HEADER, Worker
from tests.integration.test_worker_early import ASSIGNMENT
from tests.support.control_server import settings


async def test_control_answers_a_report_and_the_publisher_is_ended_with_the_reason(
    tmp_path,
) -> None:
    tree = settings()
    tree = replace(tree, server=replace(tree.server, data_dir=str(tmp_path)))
    start, stop = Start(tree, None, tmp_path, Namespace()), asyncio.Event()
    start.run_dir.mkdir()
    (tmp_path / "shows").mkdir()
    is_down = False

    async def control(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=204, headers={TAKEN_DOWN_HEADER: "1"} if is_down else {})

    runner = web.ServerRunner(web.Server(control))
    await runner.setup()
    await web.UnixSite(runner, str(start.run_dir / "control.sock")).start()
    worker = Worker(start, "w1", None)
    running = asyncio.create_task(worker.run(stop))
    socket = start.run_dir / "worker-w1.sock"
    ended: asyncio.Queue[tuple[EndReason, str]] = asyncio.Queue()
    async with asyncio.timeout(30):
        while not socket.exists():  # noqa: ASYNC110 - a socket's file has no event
            await asyncio.sleep(0.01)
        async with unix_http.client(socket, 15) as client:
            headers = {STREAM_HEADER: json.dumps(ASSIGNMENT), "Content-Type": "application/sdp"}
            async with client.post("http://w/cam/whip", data="v=0", headers=headers):
                pass
        assert worker._endpoint is not None
        worker._endpoint.end_publisher = lambda *why: ended.put_nowait(why)  # type: ignore[method-assign]
        assert ended.empty()
        is_down = True

        reason, advice = await ended.get()

        assert (reason, "taken down" in advice) == (EndReason.TAKEN_DOWN, True)
        stop.set()
        await running
    await runner.cleanup()
