"""The fake node's socket and clock: JSON-RPC over WebSocket and HTTP on the loopback.

Requests of one connection are answered in order. Faults of replies live here: a frame cut off in
the middle, an act that is done and never answered, an answer that comes late.

Source: docs/developer/chains.md, "The fake node".
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections import deque
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import WSMsgType, web

from metering.testing.fake_node.pool import RpcError
from metering.testing.fake_node.rpc import Rpc
from metering.testing.fake_node.world import Head, World

MESSAGE_BYTES_MAX: Final = 16 * 2**20
_SLOW_S: Final = 0.3
_SUBSCRIPTIONS: Final = {
    "chain_subscribeNewHeads": ("chain_newHead", False),
    "chain_subscribeNewHead": ("chain_newHead", False),
    "chain_subscribeAllHeads": ("chain_allHead", False),
    "chain_subscribeFinalizedHeads": ("chain_finalizedHead", True),
    "chain_subscribeFinalisedHeads": ("chain_finalizedHead", True),
}
_UNSUBSCRIBE: Final = frozenset(name.replace("subscribe", "unsubscribe") for name in _SUBSCRIPTIONS)
QUEUE_MAX: Final = 10_000
"""Heads that a connection may be behind; one that reads nothing is closed then."""


class _Cut(Exception):  # noqa: N818 -- control flow: this connection ends here
    """The connection is to be cut."""


class _Connection:
    """One WebSocket and what it subscribed to."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self.transport = transport
        self.subscriptions: dict[str, tuple[str, bool]] = {}
        self.news: deque[dict[str, Any]] = deque()
        self.has_news = asyncio.Event()

    def abort(self) -> None:
        """Cut it without a close frame."""
        if self.transport is not None:
            self.transport.abort()


class FakeNode:
    """Serves a world until closed.

    Args:
        metadata: V14 of the runtime, SCALE.
        port: On 127.0.0.1; 0 takes a free one.
        block_ms: Real time between blocks; 0: blocks are made on demand only.

    Attributes:
        port: The one that it listens on.
    """

    def __init__(self, world: World, metadata: bytes, *, port: int = 0, block_ms: int = 0) -> None:
        self.world = world
        self.port = port
        self._rpc = Rpc(world, metadata)
        self._block_ms = block_ms
        self._connections: set[_Connection] = set()
        self._number = 0
        self._runner: web.AppRunner | None = None
        self._clock: asyncio.Task[None] | None = None
        world.notify = self._notify

    async def __aenter__(self) -> Self:
        """Listen, and begin to make blocks."""
        app = web.Application(client_max_size=MESSAGE_BYTES_MAX)
        app.router.add_get("/", self._serve_socket)
        app.router.add_post("/", self._serve_post)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        if self._block_ms:
            self._clock = asyncio.create_task(self._make_blocks())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the clock and cut every connection."""
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.gather(self._clock, return_exceptions=True)
        self._cut_all()
        assert self._runner is not None
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Return where it is spoken to."""
        return f"ws://127.0.0.1:{self.port}"

    async def _make_blocks(self) -> None:
        while True:
            await asyncio.sleep(self._block_ms / 1000)
            self.world.make_block()
            self._after_act()

    async def _serve_post(self, request: web.Request) -> web.Response:
        try:
            text = await self._reply(await request.json(), None)
        except _Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        return web.Response(text=text, content_type="application/json")

    async def _serve_socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, compress=False)
        await socket.prepare(request)
        transport = request.transport
        assert transport is None or isinstance(transport, asyncio.Transport)
        connection = _Connection(socket, transport)
        self._connections.add(connection)
        news = asyncio.create_task(self._send_news(connection))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    reply = await self._reply(_parsed(message.data), connection)
                    await socket.send_str(reply)
        except (_Cut, ConnectionError):
            connection.abort()
        finally:
            self._connections.discard(connection)
            news.cancel()
        return socket

    async def _reply(self, request: Any, connection: _Connection | None) -> str:
        """Return the answer's text.

        Raises:
            _Cut: The connection ends instead; the act is done or not, as a fault has it.
        """
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return json.dumps(
                {
                    "jsonrpc": "2.0",
                    "id": None,
                    "error": {"code": -32600, "message": "Invalid request"},
                }
            )
        method = request["method"]
        is_control = method.startswith(("fake_", "dev_"))
        faults = self.world.faults
        body = self._act(method, list(request.get("params") or []), connection)
        text = json.dumps({"jsonrpc": "2.0", "id": request.get("id"), **body})
        if not is_control:
            if faults.happens("disconnect"):
                self._cut_in_reply(text, connection)
            if faults.happens("disconnect_after"):
                raise _Cut
            if faults.happens("slow"):
                await asyncio.sleep(_SLOW_S)
        self._after_act(connection if is_control else None)
        return text

    def _act(
        self, method: str, parameters: list[Any], connection: _Connection | None
    ) -> dict[str, Any]:
        if connection is not None and method in _SUBSCRIPTIONS:
            self._number += 1
            name = f"fake{self._number}"
            connection.subscriptions[name] = _SUBSCRIPTIONS[method]
            head = self.world.forks.head
            self._queue(connection, Head(head, is_final=False), {name})
            return {"result": name}
        if connection is not None and method in _UNSUBSCRIBE:
            return {"result": connection.subscriptions.pop(str(parameters[0]), None) is not None}
        try:
            return {"result": self._rpc.answer(method, parameters)}
        except RpcError as error:
            fault: dict[str, Any] = {"code": error.code, "message": error.message}
            if error.data is not None:
                fault["data"] = error.data
            return {"error": fault}

    def _cut_in_reply(self, text: str, connection: _Connection | None) -> None:
        """Send the first half of a frame, then nothing more."""
        if connection is not None and connection.transport is not None:
            data = text.encode()
            head = b"\x81\x7f" + struct.pack(">Q", len(data))
            connection.transport.write(head + data[: len(data) // 2])
        raise _Cut

    def _after_act(self, spared: _Connection | None = None) -> None:
        """Cut every connection when the node has started again, but for who asked for it."""
        if self.world.is_closing:
            self.world.is_closing = False
            self._cut_all(spared)

    def _cut_all(self, spared: _Connection | None = None) -> None:
        for connection in list(self._connections):
            if connection is not spared:
                connection.abort()

    def _notify(self, head: Head) -> None:
        for connection in self._connections:
            names = set(connection.subscriptions)
            self._queue(connection, head, names)
            if self.world.faults.happens("duplicate_heads"):
                self._queue(connection, head, names)

    def _queue(self, connection: _Connection, head: Head, names: set[str]) -> None:
        for name in sorted(names):
            method, is_final = connection.subscriptions[name]
            if is_final != head.is_final:
                continue
            parameters = {"subscription": name, "result": head.block.header()}
            connection.news.append({"jsonrpc": "2.0", "method": method, "params": parameters})
        if len(connection.news) > QUEUE_MAX:
            connection.abort()
        connection.has_news.set()

    async def _send_news(self, connection: _Connection) -> None:
        while True:
            await connection.has_news.wait()
            connection.has_news.clear()
            # The answer that names the subscription goes first.
            await asyncio.sleep(0)
            while connection.news:
                await connection.socket.send_str(json.dumps(connection.news.popleft()))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
