"""A worker whose stream is planned ahead of the clock refuses its publisher, with both times."""

import asyncio
import json
import time
from argparse import Namespace
from dataclasses import replace
from uuid import UUID

import pytest

from mediaserver.http import unix_http
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.worker import STREAM_HEADER, Worker
from tests.support.control_server import settings

STREAM = UUID(int=7)
ASSIGNMENT = {"stream": STREAM.hex, "slug": "cam", "key_sha256": "00" * 32}


@pytest.mark.parametrize(("ahead_s", "status"), [(3600, 503), (2, 401)])
async def test_a_h1_a_publisher_who_comes_before_the_clock_is_told_when(tmp_path, ahead_s, status):
    """The clock was an hour ahead and was set right; a second or two are within the lead."""
    tree = settings()
    tree = replace(tree, server=replace(tree.server, data_dir=str(tmp_path)))
    start, stop = Start(tree, None, tmp_path, Namespace()), asyncio.Event()
    start.run_dir.mkdir()
    (tmp_path / "shows").mkdir()
    end_ms = int(time.time() * 1000) + ahead_s * 1000 - 1000
    state = {
        "show": 1,
        "msn": 41,
        "planned_end_ms": end_ms,
        "discontinuity_sequence": 2,
        "origin_ms": 1,
        "audio_only": False,
        "part_target_ms": 500,
        "target_duration_s": 3,
        "ended": False,
    }
    worker = Worker(start, "w1", None)
    (tmp_path / "shows" / f"{STREAM}.json").write_text(json.dumps(state))
    running = asyncio.create_task(worker.run(stop))
    socket = start.run_dir / "worker-w1.sock"
    async with asyncio.timeout(20):
        while not socket.exists():  # noqa: ASYNC110 - a socket's file has no event
            await asyncio.sleep(0.01)
        async with unix_http.client(socket, 15) as client:
            headers = {STREAM_HEADER: json.dumps(ASSIGNMENT), "Content-Type": "application/sdp"}
            async with client.post("http://w/cam/whip", data="v=0", headers=headers) as answer:
                body = await answer.json(content_type=None)
        stop.set()
        await running

    assert answer.status == status
    if status == 503:
        assert body["detail"].count(" UTC") == 2
        assert answer.headers["Retry-After"]
