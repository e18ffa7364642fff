"""What strangers' connections cost an HTTP process: never its place for others (A-M5)."""

import asyncio
import contextlib
import json

import pytest

from mediaserver.http import connections
from tests.support.front_harness import Front, on_uvloop, policy, read_reply


@on_uvloop
async def test_a_m5_idle_connections_are_closed_soon(
    redis_folder, unused_tcp_port_factory, monkeypatch
) -> None:
    """Who connects and says nothing is not kept, and neither is who sends half a head."""
    monkeypatch.setattr(connections, "FIRST_REQUEST_S", 0.05)
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        async with front.connected() as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost:")
            assert await reader.read() == b""
        async with front.connected() as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_reply(reader)).status == 200
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_reply(reader)).status == 200

        assert front.metric("mediaserver_http_drops_total", "connections_silent") == 1


@on_uvloop
async def test_a_m5_silent_connections_make_room(redis_folder, unused_tcp_port_factory) -> None:
    """However many open connections and say nothing, who asks is answered."""
    port = unused_tcp_port_factory()
    async with (
        Front(redis_folder, port, server={"connections_max": 64}) as front,
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(100):
            await stack.enter_async_context(front.connected())

        reply = await front.ask("GET /healthz")

        assert reply.status == 200
        assert front.metric("mediaserver_http_drops_total", "connections_silent") >= 36


@on_uvloop
async def test_a_m5_idle_connections_that_asked_once_make_room(
    redis_folder, unused_tcp_port_factory
) -> None:
    """As many networks as there may be connections, which one customer has, keep nobody out.

    Who waits for an answer keeps its connection.
    """
    port = unused_tcp_port_factory()
    async with (
        Front(redis_folder, port, server={"connections_max": 64, "trusted_proxies": ()}) as front,
        contextlib.AsyncExitStack() as stack,
    ):
        front.know(policy())
        front.go.clear()
        asked = asyncio.create_task(
            front.ask("POST /cam/whip", "Authorization: Bearer wrong", host="127.0.2.1")
        )
        await front.is_waiting.wait()
        idle = []
        for number in range(1, 64):
            pair = await stack.enter_async_context(front.connected(f"127.0.1.{number}"))
            pair[1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await read_reply(pair[0])).status == 200
            idle.append(pair)
        idle[0][1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await read_reply(idle[0][0])).status == 200

        others = [await front.ask("GET /healthz", host=f"127.0.3.{n}") for n in (1, 2)]
        front.go.set()

        assert [other.status for other in others] == [200, 200]
        assert await idle[1][0].read() == b""
        assert (await asked).status == 401
        assert not idle[0][0].at_eof()
        assert front.metric("mediaserver_http_drops_total", "connections_idle") == 1


@on_uvloop
async def test_a_m5_silent_connections_of_one_address_are_bounded(
    redis_folder, unused_tcp_port_factory
) -> None:
    """Who opens many at once and asks nothing loses the oldest, and no one else does."""
    async with (
        Front(redis_folder, unused_tcp_port_factory(), server={"trusted_proxies": ()}) as front,
        contextlib.AsyncExitStack() as stack,
    ):
        other, _ = await stack.enter_async_context(front.connected("127.0.0.2"))
        opened = [
            await stack.enter_async_context(front.connected("127.0.0.3"))
            for _ in range(connections.SILENT_PER_ADDRESS_MAX + 1)
        ]

        assert await opened[0][0].read() == b""
        assert not opened[1][0].at_eof()
        assert not other.at_eof()
        assert front.metric("mediaserver_http_drops_total", "connections_silent") == 1


@on_uvloop
async def test_a_m5_connections_of_one_address_are_bounded(
    redis_folder, unused_tcp_port_factory, capfd
) -> None:
    """One address cannot take all connections, and is told why it gets no more; others are served.

    Proxies of the operator hold many people's, and are not bounded so.
    """
    tables = {"connections_per_address_max": 8, "trusted_proxies": ("127.0.0.1",)}
    async with (
        Front(redis_folder, unused_tcp_port_factory(), server=tables) as front,
        contextlib.AsyncExitStack() as stack,
    ):
        for host, count in (("127.0.0.2", 8), ("127.0.0.1", 20)):
            for _ in range(count):
                reader, writer = await stack.enter_async_context(front.connected(host))
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert (await read_reply(reader)).status == 200
        async with front.connected("127.0.0.2") as (reader, _):
            refused = await read_reply(reader)
        other = await front.ask("GET /healthz", host="127.0.0.3")

        assert refused.status == 503
        assert b"your address" in refused.body
        assert other.status == 200
        assert front.metric("mediaserver_http_drops_total", "connections_address") == 1
        assert front.metric("mediaserver_http_connections") >= 28
        assert "http.connections.dropped" in capfd.readouterr().out


@on_uvloop
async def test_r5_who_connected_just_before_a_stop_is_answered(
    redis_folder, unused_tcp_port_factory
) -> None:
    """A request that is on its way is not cut; who connected ahead and asks nothing is."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front:
        async with front.connected() as (reader, writer), front.connected() as (silent, _):
            await front.ask("GET /healthz")  # the two before it are taken by then
            front._stop.set()
            with contextlib.suppress(OSError):
                while True:  # until nobody listens
                    async with front.connected():
                        await asyncio.sleep(0.01)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            reply = await read_reply(reader)
            rest = await reader.read()

            assert (reply.status, reply.headers["connection"], rest) == (200, "close", b"")
            assert await silent.read() == b""
        await asyncio.wait_for(front._task, 5)


@pytest.mark.parametrize(
    "head",
    [f"GET /{'x' * 9000} HTTP/1.1", "\x16\x03\x01\x02", "GET /secret HTTP/1.1\r\n("],
)
@on_uvloop
async def test_what_is_no_http_is_told_as_any_other_error(
    redis_folder, unused_tcp_port_factory, head
) -> None:
    """A program reads one kind of error; what was sent, a token perhaps, is not sent back."""
    async with (
        Front(redis_folder, unused_tcp_port_factory()) as front,
        front.connected() as (reader, writer),
    ):
        writer.write(f"{head}\r\nHost: x\r\n\r\n".encode())
        reply = await read_reply(reader)

    assert (reply.status, reply.headers["content-type"]) == (400, "application/problem+json")
    assert json.loads(reply.body)["status"] == 400
    assert b"xxx" not in reply.body
    assert b"secret" not in reply.body
