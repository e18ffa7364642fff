"""The connecting ends of the wire: links to the HTTP processes, and calls to the settler.

Workers and control hold one link to each HTTP process, reconnected until they end. It begins with
`Hello` and what the owner replays, so an HTTP process that restarts is refilled. Nothing waits for
a peer: one that reads too slowly loses its connection and receives everything again.

Control calls the settler over one connection, made when it is needed and again after each failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import itertools
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from mediaserver import log
from mediaserver.errors import LinkError
from mediaserver.ipc.framing import FRAME_BYTES_MAX
from mediaserver.ipc.messages import (
    Failure,
    Hello,
    Message,
    MessageReader,
    Request,
    Result,
    encode,
)
from mediaserver.ipc.operations import Operation, operation_of
from metering import errors
from metering.errors import BatchTooLargeError, ChainError, ChainUnavailableError

RECONNECT_S: Final = 0.2
"""A restarted HTTP process is back in about a second: five tries in it cost nothing."""
COMPLETE_S: Final = 1.0
"""Between two looks while every peer is connected: a new one comes only with its process."""
CONNECT_TIMEOUT_S: Final = 2.0
BUFFER_BYTES_MAX: Final = 16 << 20
"""About ten seconds of the largest stream: a peer further behind is better off with a replay."""
CALL_TIMEOUT_S: Final = 120.0
"""Above the longest reply, a search through the blocks of an era, each bounded by itself."""
READ_BYTES: Final = 256 << 10

P = ParamSpec("P")
T = TypeVar("T")

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
            on_connect: Returns what a new peer must receive after `hello`; called at each
                connection, and never while `send` runs.
            buffer_bytes_max: Unsent bytes of one peer, beside its replay, before it is dropped.
        """
        self.dropped = 0
        self._run_dir = run_dir
        self._hello = encode(hello)
        self._on_connect = on_connect
        self._buffer_bytes_max = buffer_bytes_max
        self._peers: dict[str, _Peer] = {}
        self._is_missing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect to every HTTP process that listens, and keep connecting."""
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
        """Send `message` to every peer; a peer over its bound is dropped and refilled later."""
        if not self._peers:
            return
        buffers = encode(message)
        size_bytes = sum(map(len, buffers))
        for name, peer in list(self._peers.items()):
            if peer.transport.get_write_buffer_size() + size_bytes > peer.bound_bytes:
                self.dropped += 1
                _log.warning(
                    "link.peer.dropped",
                    peer=name,
                    buffered_bytes=peer.transport.get_write_buffer_size(),
                )
                self._forget(name, peer)
                peer.transport.abort()
            else:
                peer.transport.writelines(buffers)

    async def _keep_connected(self) -> None:
        while True:
            if not self._is_missing.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(COMPLETE_S):
                        await self._is_missing.wait()
            if self._is_missing.is_set():
                await asyncio.sleep(RECONNECT_S)
            await self._connect_missing()

    async def _connect_missing(self) -> None:
        # Not `glob`, which is six calls of the system and a millisecond, each second.
        with os.scandir(self._run_dir) as entries:
            names = sorted(fnmatch.filter((entry.name for entry in entries), "http-*.link"))
        for name in names:
            if name not in self._peers:
                # A socket file without a listener is that of a process which is being restarted.
                with contextlib.suppress(OSError, TimeoutError):
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        await self._connect(self._run_dir / name)
        if self._peers and all(name in self._peers for name in names):
            self._is_missing.clear()
        else:
            self._is_missing.set()

    async def _connect(self, path: Path) -> None:
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_unix_connection(_Peer, str(path))
        buffers = [*self._hello, *itertools.chain.from_iterable(map(encode, self._on_connect()))]
        peer.transport = transport
        peer.bound_bytes = self._buffer_bytes_max + sum(map(len, buffers))
        peer.on_lost = lambda: self._forget(path.name, peer)
        transport.writelines(buffers)
        if not peer.lost.is_set():
            self._peers[path.name] = peer

    def _forget(self, name: str, peer: _Peer) -> None:
        if self._peers.get(name) is peer:
            del self._peers[name]
            self._is_missing.set()


class _Peer(asyncio.Protocol):
    """One connection; the link has one direction, so what comes back is discarded."""

    transport: asyncio.WriteTransport
    bound_bytes: int

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.on_lost: Callable[[], None] = lambda: None

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Report the loss to the owner, once."""
        self.lost.set()
        self.on_lost()


class CallClient:
    """Calls operations of a `mediaserver.ipc.server.CallServer`.

    Args:
        timeout_s: Most that any call may take.
    """

    def __init__(self, path: Path, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Result]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """End the connection; pending calls raise `ChainUnavailableError`."""
        reading = self._reading
        self._drop("the connection to the settler was closed")
        if reading is not None:
            await asyncio.gather(reading, return_exceptions=True)

    async def call(
        self,
        method: Callable[Concatenate[Any, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Return what a port's method returns at the server.

        Raises:
            ChainUnavailableError: The settler is away or too slow; it may have done it.
            ChainError: As the operation raised it.
        """
        operation = operation_of(method)
        try:
            async with asyncio.timeout(self._timeout_s):
                result = await self._call(operation, args, kwargs)
        except TimeoutError as error:
            self._drop("the settler did not answer")
            raise ChainUnavailableError(
                f"the settler did not answer {operation.name} within {self._timeout_s:g} s"
            ) from error
        try:
            return cast("T", operation.decode_result(result.value))
        except LinkError as error:
            self._drop(f"the settler broke the protocol: {error}")
            raise ChainUnavailableError(f"the settler broke the protocol: {error}") from error

    async def _call(
        self, operation: Operation, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Result:
        async with self._connecting:
            if self._writer is None:
                await self._connect()
            writer = self._writer
        assert writer is not None
        number = next(self._numbers)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            request = Request(number, operation.name, operation.encode(args, kwargs))
            writer.writelines(encode(request))
            await writer.drain()
            return await future
        except OSError as error:
            raise ChainUnavailableError(f"the settler is away: {error}") from error
        finally:
            self._pending.pop(number, None)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                reader, self._writer = await asyncio.open_unix_connection(self._path)
        except (OSError, TimeoutError) as error:
            raise ChainUnavailableError(f"the settler is away: {error}") from error
        self._reading = asyncio.create_task(self._read(reader, self._writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages = MessageReader(header_bytes_max=FRAME_BYTES_MAX)
        reason = "the settler is away"
        try:
            while data := await reader.read(READ_BYTES):
                for message in messages.feed(data):
                    self._settle(message)
        except OSError:
            pass
        except LinkError as error:
            reason = f"the settler broke the protocol: {error}"
        finally:
            if self._writer is writer:
                self._drop(reason)

    def _settle(self, message: Message) -> None:
        """Complete the call that a message is the reply to."""
        if isinstance(message, Failure) and message.number == 0:
            raise LinkError(message.text)
        if not isinstance(message, Result | Failure):
            raise LinkError(f"{type(message).__name__} is no reply")
        future = self._pending.get(message.number)
        if future is None or future.done():
            return
        if isinstance(message, Failure):
            future.set_exception(_error(message))
        else:
            future.set_result(message)

    def _drop(self, reason: str) -> None:
        writer, self._writer = self._writer, None
        reading, self._reading = self._reading, None
        if writer is not None:
            writer.close()
        if reading is not None and reading is not asyncio.current_task():
            reading.cancel()
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(ChainUnavailableError(reason))


def _error(failure: Failure) -> ChainError:
    kind = getattr(errors, failure.error, None)
    if kind is BatchTooLargeError:
        return BatchTooLargeError(failure.text, failure.detail or 0)
    if isinstance(kind, type) and issubclass(kind, ChainError):
        return kind(failure.text)
    return ChainUnavailableError(f"{failure.error}: {failure.text}")
