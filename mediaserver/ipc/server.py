"""The listening ends of the wire: the link of an HTTP process, and the settler's operations.

A peer that breaks the protocol or a bound is dropped and may connect again; nobody else notices.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

from mediaserver import log
from mediaserver.errors import LinkError
from mediaserver.ipc.framing import FRAME_BYTES_MAX
from mediaserver.ipc.messages import (
    Failure,
    Hello,
    Message,
    MessageReader,
    Policy,
    PolicyChange,
    Request,
    Result,
    encode,
)
from mediaserver.ipc.operations import Handlers, to_raw
from metering.errors import BatchTooLargeError, MeteringError

READ_BYTES: Final = 256 << 10
PEERS_MAX: Final = 4200
"""As many as an HTTP process has streams, and some for control and for reconnects under way."""
CALLERS_MAX: Final = 64
"""Connections to the settler: control has one."""
REQUESTS_MAX: Final = 16
"""Of one connection at once."""
HELLO_TIMEOUT_S: Final = 5
EXPIRE_PERIOD_S: Final = 1


class Feed(Protocol):
    """Receives the messages of one worker's connection: `mediaserver.hls.live_store.Feed`."""

    def apply(self, message: Message) -> None:
        """Take a message in.

        Raises:
            LinkError: It is not a worker's, or comes before its show was opened.
        """

    def close(self) -> None:
        """The connection is gone."""


class LiveStore(Protocol):
    """Where the workers' messages go: `mediaserver.hls.live_store.LiveStore`."""

    def feed(self, name: str) -> Feed:
        """Return what receives a worker's new connection."""

    def expire(self) -> None:
        """Drop what has aged out; called about once a second."""


class _Server(ABC):
    """Listens on a unix socket, for this user alone; an async context manager.

    Attributes:
        dropped: Connections that were refused, by reason.
    """

    def __init__(self, path: Path, peers_max: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._path = path
        self._peers_max = peers_max
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._accept, self._path)
        self._path.chmod(0o600)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(FileNotFoundError):
            self._path.unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._tasks) >= self._peers_max:
            self.dropped["peers"] += 1
            writer.close()
            return
        self._tasks.add(task)
        try:
            await self._listen(reader, writer)
        except LinkError as error:
            self.dropped["broken"] += 1
            self._refuse(str(error), writer)
        except (OSError, asyncio.CancelledError):
            # A cancelled connection ends quietly: the server is closing.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    @abstractmethod
    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until its peer ends it.

        Raises:
            LinkError: The peer breaks the protocol.
        """

    @abstractmethod
    def _refuse(self, reason: str, writer: asyncio.StreamWriter) -> None:
        """Log why a connection ends."""


class LinkServer(_Server):
    """Listens on ``run/http-<i>.link``; also expires what the live store holds too long."""

    def __init__(
        self, path: Path, store: LiveStore, on_policy: Callable[[Policy | PolicyChange], None]
    ) -> None:
        """Prepare.

        Args:
            on_policy: Takes what control says; raises LinkError when it follows what we have not.
        """
        super().__init__(path, PEERS_MAX)
        self._store = store
        self._on_policy = on_policy
        self._log = log.get("hls")

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._expiring = asyncio.create_task(self._expire())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._expiring.cancel()
        await asyncio.gather(self._expiring, return_exceptions=True)
        await super().__aexit__(kind, error, trace)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG002  nothing is sent back
        messages = MessageReader()
        hello: Hello | None = None
        feed: Feed | None = None
        try:
            while True:
                async with asyncio.timeout(None if hello else HELLO_TIMEOUT_S):
                    data = await reader.read(READ_BYTES)
                if not data:
                    return
                for message in messages.feed(data):
                    if hello is None:
                        hello = _greeted(message)
                        feed = self._store.feed(hello.name) if hello.role == "worker" else None
                    elif feed is not None:
                        feed.apply(message)
                    elif isinstance(message, Policy | PolicyChange):
                        self._on_policy(message)
                    else:
                        raise LinkError(f"{hello.name} sent {type(message).__name__}")
        except TimeoutError as error:
            raise LinkError(f"no hello came within {HELLO_TIMEOUT_S} s") from error
        finally:
            if feed is not None:
                feed.close()

    def _refuse(self, reason: str, writer: asyncio.StreamWriter) -> None:  # noqa: ARG002  nothing is sent back
        self._log.warning("hls.peer.dropped", reason=reason)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_PERIOD_S)
            self._store.expire()


class CallServer(_Server):
    """Runs operations for its peers, those of one connection side by side."""

    def __init__(self, path: Path, handlers: Handlers) -> None:
        super().__init__(path, CALLERS_MAX)
        self._handlers = handlers
        self._log = log.get("settlement")

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Arguments are the header: a batch may fill a frame.
        messages = MessageReader(header_bytes_max=FRAME_BYTES_MAX)
        running: set[asyncio.Task[None]] = set()
        try:
            while data := await reader.read(READ_BYTES):
                for message in messages.feed(data):
                    call = self._parsed(message)
                    if len(running) >= REQUESTS_MAX:
                        raise LinkError("too many requests at once")
                    task = asyncio.create_task(self._run(call, writer))
                    running.add(task)
                    task.add_done_callback(running.discard)
        finally:
            tasks = list(running)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _refuse(self, reason: str, writer: asyncio.StreamWriter) -> None:
        self._log.warning("settlement.link.refused", error=reason)
        # A peer of another version reads our version in the frame's head.
        writer.writelines(encode(Failure(0, "ChainUnavailableError", _text(reason))))

    def _parsed(self, message: Message) -> _Call:
        if not isinstance(message, Request):
            raise LinkError(f"{type(message).__name__} is no request")
        if message.operation not in self._handlers:
            raise LinkError(f"there is no operation {message.operation}")
        operation, method = self._handlers[message.operation]
        arguments, keywords = operation.decode(message.arguments)
        return _Call(message.number, operation.name, partial(method, *arguments, **keywords))

    async def _run(self, call: _Call, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.writelines(encode(await self._outcome(call)))
            await writer.drain()

    async def _outcome(self, call: _Call) -> Result | Failure:
        try:
            return Result(call.number, to_raw(await call.start()))
        except MeteringError as error:
            detail = error.entries_max if isinstance(error, BatchTooLargeError) else None
            return Failure(call.number, type(error).__name__, _text(str(error)), detail)
        except Exception as error:  # noqa: BLE001 -- a fault of ours must not leave control waiting
            self._log.exception("settlement.link.failed", op=call.name)
            text = f"the settler failed: {type(error).__name__}"
            return Failure(call.number, "ChainUnavailableError", text)


class _Call(NamedTuple):
    """A request whose arguments are known to fit."""

    number: int
    name: str
    start: Callable[[], Awaitable[Any]]


def _greeted(message: Message) -> Hello:
    if not isinstance(message, Hello) or message.role not in ("worker", "control"):
        raise LinkError(f"{type(message).__name__} came before a hello of a worker or of control")
    return message


def _text(reason: str) -> str:
    """Return a reason that UTF-8 can carry: a node's words may hold lone surrogates."""
    return reason.encode(errors="replace").decode()
