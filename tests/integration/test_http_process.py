"""The HTTP process on a port: what it answers by itself and what it hands on."""

import argparse
import asyncio
import contextlib
import dataclasses

import pytest
from aiohttp import web

from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from mediaserver.settings.records import Settings
from tests.support.front_harness import Front, policy


@contextlib.asynccontextmanager
async def connected(port):
    """Yield a connection, closed afterwards."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def process(tmp_path, unused_tcp_port_factory):
    """Yield the port of an HTTP process; control is a stand-in that answers with the body."""
    run = tmp_path / "run"
    run.mkdir()

    async def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(status=201, body=await request.read())

    control = web.ServerRunner(web.Server(echo))
    await control.setup()
    await web.UnixSite(control, str(run / "control.sock")).start()
    settings = Settings()
    port = unused_tcp_port_factory()
    server = dataclasses.replace(settings.server, port=port, data_dir=str(tmp_path))
    start = Start(
        dataclasses.replace(settings, server=server), None, tmp_path, argparse.Namespace()
    )
    stop = asyncio.Event()
    task = asyncio.create_task(HttpProcess(start, 0).run(stop))
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(OSError):
                async with connected(port):
                    break
            await asyncio.sleep(0.01)
    yield port
    stop.set()
    await task
    await control.cleanup()


async def test_an_offer_is_asked_for_when_its_sender_waits(process):
    """OBS's libcurl sends a larger offer only after 100 Continue; else it waits a second."""
    asked = b"POST /cam/whip HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    async with connected(process) as (reader, writer):
        writer.write(asked + b"Expect: 100-continue\r\n\r\n")

        first = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"offer")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(5)

    assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert head.startswith(b"HTTP/1.1 201 ")
    assert body == b"offer"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 503),
        ("/nothing/here", 404),
        ("/cam/", 503),
        ("/metrics", 200),
    ],
)
async def test_every_path_has_an_answer_when_nothing_is_published(process, path, status):
    """Health is told, and what is not there is a 404 of ours."""
    async with connected(process) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        head = await reader.readuntil(b"\r\n\r\n")

    assert head.startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("path", ["/cam/whip", "/api/v1/streams", "/w/token/cam/session"])
async def test_a_l1_packed_body_is_refused_in_words(process, path, capfd):
    """Four bad bytes marked gzip were 2 kB of error log each; no body is unpacked here."""
    async with connected(process) as (reader, writer):
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
            "Authorization: Bearer key\r\nContent-Length: 4\r\n\r\nabcd".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"}")

    assert head.startswith(b"HTTP/1.1 415 ")
    assert b"Content-Encoding: gzip" in body
    assert "Traceback" not in capfd.readouterr().err


async def test_a_l1_packed_body_of_a_request_that_needs_none_is_passed_over(process, capfd):
    """A page or a health check with a broken body is answered as without one."""
    async with connected(process) as (reader, writer):
        writer.write(
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: 4\r\n\r\nabcd"
        )
        head = await reader.readuntil(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert "Traceback" not in capfd.readouterr().err


async def test_a_h1_a_server_whose_clock_is_apart_from_redis_is_not_ready(
    redis_folder, unused_tcp_port_factory, monkeypatch
):
    """Claims are judged by Redis' clock: the operator reads by how much, and what to do."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        front.know(policy())
        clock = front.process._clock

        async def slow_ms():
            return clock.now_ms() - 3000

        monkeypatch.setattr(front.process._claims, "redis_ms", slow_ms)
        reply = await front.ask("GET /readyz")

    assert reply.status == 503
    assert b"3.0 s ahead of Redis'" in reply.body
    assert b"NTP" in reply.body
