"""What keeps control from its work reaches `/readyz` of every process (O8, O17)."""

import asyncio
import contextlib
from argparse import Namespace
from dataclasses import replace

import aiohttp
import pytest

from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from tests.support.control_server import Server, settings


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


async def test_o8_a_book_that_cannot_be_written_is_no_ready_server(server):
    """The server that still answers is not taken for a healthy one."""
    await server.stop_control()
    (server.data_dir / "book.probe").symlink_to("/dev/full")
    while not server.policies.empty():
        server.policies.get_nowait()
    await server.start_control()

    policy = await server.policy(lambda p: any("No space left" in text for text in p.faults))

    assert any("beside the book" in text for text in policy.faults)
    await server.policy(lambda p: not p.faults)  # there is room again
    await server.until_ready()


async def test_o17_a_redis_that_is_not_there_is_named_without_its_password(server, unused_tcp_port):
    """Wrong address, wrong password: who asks reads what is waited for."""
    await server.stop_control()
    url = "redis://ann:hunter2@127.0.0.1:1/3"
    server.tree = replace(server.tree, metering=replace(server.tree.metering, redis_url=url))
    while not server.policies.empty():
        server.policies.get_nowait()
    await server.start_control()

    policy = await server.policy(lambda p: any("waiting since" in text for text in p.faults))

    assert any("127.0.0.1:1" in text for text in policy.faults)
    assert "hunter2" not in str(policy.faults)
    async with server.http.get("http://c/readyz") as answer:
        body = await answer.json()
    assert (answer.status, body["faults"]) == (503, list(policy.faults))
    assert "hunter2" not in str(body)
    assert await told_in_public(server, unused_tcp_port) == list(policy.faults)


async def told_in_public(server: Server, port: int) -> list[str]:
    """Return what an HTTP process says once it has heard of control."""
    tree = replace(server.tree, server=replace(server.tree.server, port=port))
    stop = asyncio.Event()
    process = HttpProcess(Start(tree, None, server.data_dir, Namespace()), 1)
    running = asyncio.create_task(process.run(stop))
    try:
        async with asyncio.timeout(15), aiohttp.ClientSession() as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                        faults: list[str] = (await answer.json())["faults"]
                        if not any("control has not" in fault for fault in faults):
                            return faults
                await asyncio.sleep(0.05)
    finally:
        stop.set()
        await running
