"""The peer's end of the link: one connection to each HTTP process, kept up for as long as we live.

A worker and control both use it. Every connection begins with `Hello` and whatever the owner wants
told again, so an HTTP process that restarts is refilled. Nothing is ever waited for: a peer that
reads too slowly loses its connection and is told everything again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mediaserver import log
from mediaserver.ipc.link import Hello, Message, encode

RECONNECT_S: Final = 0.2
"""A restarted HTTP process is back in about a second: five tries in it cost nothing."""
CONNECT_TIMEOUT_S: Final = 2.0
BUFFER_BYTES_MAX: Final = 16 << 20
"""About ten seconds of the largest stream: who is further behind is better off with a replay."""

_log = log.get("link")


class LinkClients:
    """Connections to all ``run/http-*.link``; an async context manager.

    Attributes:
        dropped: Connections that we ended because the peer read too slowly.
    """

    def __init__(
        self,
        run_dir: Path,
        hello: Hello,
        on_connect: Callable[[], Iterable[Message]],
        buffer_bytes_max: int = BUFFER_BYTES_MAX,
    ) -> None:
        """Prepare; nothing connects before ``async with``.

        Args:
            run_dir: Where the link sockets are.
            hello: First message of each connection.
            on_connect: Returns what a new peer must be told after `hello`; called at each
                connection, and never while `send` runs.
            buffer_bytes_max: Unsent bytes of one peer, beside its replay, before it is dropped.
        """
        self.dropped = 0
        self._run_dir = run_dir
        self._hello = encode(hello)
        self._on_connect = on_connect
        self._buffer_bytes_max = buffer_bytes_max
        self._peers: dict[str, _Peer] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect to whoever is there, and keep connecting."""
        await self._connect_missing()
        self._task = asyncio.create_task(self._keep_connected())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what is buffered for as long as a peer takes it, then close."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        peers = list(self._peers.values())
        for peer in peers:
            peer.transport.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for peer in peers:
                    await peer.lost.wait()
        for peer in peers:
            peer.transport.abort()

    @property
    def names(self) -> tuple[str, ...]:
        """Return the socket names of the peers that are connected now, sorted."""
        return tuple(sorted(self._peers))

    def send(self, message: Message) -> None:
        """Give `message` to every peer; a peer over its bound is dropped and told again later."""
        if not self._peers:
            return
        frame = encode(message)
        for name, peer in list(self._peers.items()):
            if peer.transport.get_write_buffer_size() + len(frame) > peer.bound_bytes:
                self.dropped += 1
                _log.warning(
                    "link.peer.dropped",
                    peer=name,
                    buffered_bytes=peer.transport.get_write_buffer_size(),
                )
                del self._peers[name]
                peer.transport.abort()
            else:
                peer.transport.write(frame)

    async def _keep_connected(self) -> None:
        while True:
            await asyncio.sleep(RECONNECT_S)
            await self._connect_missing()

    async def _connect_missing(self) -> None:
        for path in sorted(self._run_dir.glob("http-*.link")):
            if path.name not in self._peers:
                # A socket file without a listener is that of a process which is being restarted.
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        await self._connect(path)

    async def _connect(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_unix_connection(_Peer, str(path))
        frames = [self._hello, *map(encode, self._on_connect())]
        peer.transport = transport
        peer.bound_bytes = self._buffer_bytes_max + sum(map(len, frames))
        peer.on_lost = lambda: self._forget(path.name, peer)
        transport.writelines(frames)
        if not peer.lost.is_set():
            self._peers[path.name] = peer

    def _forget(self, name: str, peer: _Peer) -> None:
        if self._peers.get(name) is peer:
            del self._peers[name]


class _Peer(asyncio.Protocol):
    """One connection; the link has one direction, so what comes back is thrown away."""

    transport: asyncio.WriteTransport
    bound_bytes: int

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.on_lost: Callable[[], None] = lambda: None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Tell the owner, once."""
        self.lost.set()
        self.on_lost()
