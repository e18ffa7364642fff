"""What an outage of Redis costs in the figure of payment."""

import asyncio
import contextlib
import re
import time
from argparse import Namespace
from dataclasses import replace

import aiohttp
import pytest

from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from tests.support.control_server import Server, settings

pytestmark = pytest.mark.timeout(90)

OUTAGE_S = 10
SLACK_S = 2.5
"""A look each second at both ends, and a busy machine."""


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


async def test_redis_stopped_for_ten_seconds_shows_as_ten_seconds_of_payment(
    server, unused_tcp_port
) -> None:
    """Who asks what happened at nine reads how long nobody could pay; the platform went on."""
    tree = replace(server.tree, server=replace(server.tree.server, port=unused_tcp_port))
    stop = asyncio.Event()
    process = HttpProcess(Start(tree, None, server.data_dir, Namespace()), 1)
    running = asyncio.create_task(process.run(stop))
    at = f"http://127.0.0.1:{unused_tcp_port}"
    try:
        async with aiohttp.ClientSession() as http:
            await ready(http, at, 200)
            before = await figures(http, at)

            began_s = time.monotonic()
            await server.redis.stop()
            await ready(http, at, 503)
            await asyncio.sleep(OUTAGE_S - (time.monotonic() - began_s))
            await server.redis.start()
            await ready(http, at, 200)
            outage_s = time.monotonic() - began_s
            await asyncio.sleep(2.1)  # a look of the figures, and of the metrics that are kept

            after = await figures(http, at)
    finally:
        stop.set()
        await running

    lost_s = after["payment", "bad"] - before["payment", "bad"]
    assert lost_s >= OUTAGE_S - SLACK_S / 2
    assert abs(lost_s - outage_s) <= SLACK_S
    assert after["payment", "good"] > before["payment", "good"]
    assert after["platform", "bad"] == before["platform", "bad"]


async def ready(http: aiohttp.ClientSession, at: str, status: int) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(f"{at}/readyz") as answer:
                    if answer.status == status:
                        return
            await asyncio.sleep(0.02)


async def figures(http: aiohttp.ClientSession, at: str) -> dict[tuple[str, str], float]:
    async with http.get(f"{at}/metrics") as answer:
        text = await answer.text()
    found = re.findall(
        r'^mediaserver_availability_seconds_total\{figure="(\w+)",outcome="(\w+)",process="http-1"\}'
        r" (\S+)$",
        text,
        re.MULTILINE,
    )
    return {(figure, outcome): float(value) for figure, outcome, value in found}
