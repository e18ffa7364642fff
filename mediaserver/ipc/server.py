"""The receiving end of the link: frames from workers to the hub, control's policy to a callback.

A peer that breaks the protocol is dropped and may connect again; nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from mediaserver import log
from mediaserver.errors import LinkError
from mediaserver.hls.live_store import Feed, Hub
from mediaserver.ipc.link import FrameReader, Hello, Policy

READ_BYTES: Final = 256 << 10
PEERS_MAX: Final = 4200
"""As many as the hub has channels, and some for control and for reconnects under way."""
HELLO_TIMEOUT_S: Final = 5
EXPIRE_PERIOD_S: Final = 1


class LinkServer:
    """Listens on ``run/http-<i>.link``; also drives the hub's ageing."""

    def __init__(self, path: Path, hub: Hub, on_policy: Callable[[Policy], None]) -> None:
        self.dropped: Counter[str] = Counter()
        self._path = path
        self._hub = hub
        self._on_policy = on_policy
        self._server: asyncio.Server | None = None
        self._peers: set[asyncio.Task[None]] = set()
        self._expiring: asyncio.Task[None] | None = None
        self._log = log.get("hls")

    async def __aenter__(self) -> Self:
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(self._accept, self._path)
        self._path.chmod(0o600)
        self._expiring = asyncio.create_task(self._expire())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = [*self._peers, *([self._expiring] if self._expiring else [])]
        if self._server:
            self._server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(FileNotFoundError):
            self._path.unlink()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._peers) >= PEERS_MAX:
            self.dropped["peers"] += 1
            writer.close()
            return
        self._peers.add(task)
        try:
            await self._listen(reader)
        except LinkError as error:
            self.dropped["broken"] += 1
            self._log.warning("hls.peer.dropped", reason=str(error))
        except (ConnectionError, asyncio.CancelledError):
            # A cancelled connection ends quietly: the server is closing.
            pass
        finally:
            self._peers.discard(task)
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        frames = FrameReader()
        hello: Hello | None = None
        feed: Feed | None = None
        try:
            while True:
                async with asyncio.timeout(None if hello else HELLO_TIMEOUT_S):
                    data = await reader.read(READ_BYTES)
                if not data:
                    return
                for message in frames.feed(data):
                    if hello is None:
                        hello = _greeted(message)
                        feed = self._hub.feed(hello.name) if hello.role == "worker" else None
                    elif feed is not None:
                        feed.apply(message)
                    elif isinstance(message, Policy):
                        self._on_policy(message)
                    else:
                        raise LinkError(f"{hello.name} sent {type(message).__name__}")
        except TimeoutError as error:
            raise LinkError(f"no hello came within {HELLO_TIMEOUT_S} s") from error
        finally:
            if feed is not None:
                feed.close()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE_PERIOD_S)
            self._hub.expire()


def _greeted(message: object) -> Hello:
    if not isinstance(message, Hello) or message.role not in ("worker", "control"):
        raise LinkError(f"{type(message).__name__} came before a hello of a worker or of control")
    return message
