"""An HTTP process on a port of its own, with stand-ins for control and a worker behind it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import uvloop
from aiohttp import StreamReader, web

from mediaserver.http.client_address import Client
from mediaserver.ipc.messages import Policy
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from mediaserver.settings.records import Settings
from metering.units import Asset, Planck, PriceVersion, StreamPolicy

ADMIN = "admin-token"
KEY = "stream-key"
WORKER = "worker-w1.sock"
CAM = StreamPolicy(UUID(int=7), "cam", "Cam", (PriceVersion(1, 0, Planck(0)),), is_enabled=True)


def policy(keys: Mapping[str, str] | None = None) -> Policy:
    """Return what control would say of one free stream, cam."""
    known = {"cam": KEY} if keys is None else keys
    return Policy(
        (CAM,),
        ((1, bytes(32)),),
        Asset(),
        "",
        "",
        "",
        False,
        0,
        tuple((slug, hashlib.sha256(key.encode()).digest()) for slug, key in known.items()),
        hashlib.sha256(ADMIN.encode()).digest(),
    )


@dataclass
class Reply:
    """What came over a connection until it ended or the answer was whole."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Heard:
    """A request that reached a process behind."""

    method: str
    path: str
    address: str | None
    body: bytes
    headers: list[tuple[str, str]] = field(repr=False, default_factory=list)


def on_uvloop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on the loop of the product, whose transports differ from asyncio's."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        uvloop.run(test(**fixtures))

    return run


class Front:
    """The process, and what those behind it have heard."""

    def __init__(self, folder: Path, port: int, **tables: Mapping[str, Any]) -> None:
        """Take settings by table, such as ``server={"connections_max": 64}``."""
        settings = Settings()
        tables["server"] = {**tables.get("server", {}), "port": port, "data_dir": str(folder)}
        for name, values in tables.items():
            settings = replace(settings, **{name: replace(getattr(settings, name), **values)})
        self.folder = folder
        self.port = port
        self.settings = settings
        self.heard: list[Heard] = []
        self.worker_status = 204
        self.worker_headers: dict[str, str] = {}
        self.waits: list[float] = []
        """Seconds that answers to wrong keys wait: here only until `go` is set, as it is."""
        self.go = asyncio.Event()
        self.go.set()
        self.is_waiting = asyncio.Event()
        self.read_ahead: list[int] = []

    async def __aenter__(self) -> Self:
        run = self.folder / "run"
        run.mkdir()
        self._runners = []
        for socket in ("control.sock", WORKER):
            runner = web.ServerRunner(web.Server(self._behind))
            await runner.setup()
            await web.UnixSite(runner, str(run / socket)).start()
            self._runners.append(runner)
        start = Start(self.settings, None, self.folder, argparse.Namespace())
        self.process = HttpProcess(start, 0)
        self.process._access._sleep = self._sleep
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self.process.run(self._stop))
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(OSError):
                    async with self.connected():
                        break
                await asyncio.sleep(0.01)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        await self._task
        for runner in self._runners:
            await runner.cleanup()

    def know(self, known: Policy) -> None:
        """Let control's word reach the process."""
        self.process._on_policy(known)

    @contextlib.asynccontextmanager
    async def connected(
        self, host: str = "127.0.0.1"
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Yield a connection from an address of this machine, closed afterwards."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(host, 0))
        try:
            async with asyncio.timeout(10):
                yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(
        self,
        line: str,
        *fields: str,
        body: bytes = b"",
        sends: bytes | None = None,
        host: str = "127.0.0.1",
    ) -> Reply:
        """Return the reply to one request.

        Args:
            line: Method and path.
            fields: Header lines.
            body: Its length is told.
            sends: What is sent of it; None: all.
            host: Address of this machine that it comes from.
        """
        async with self.connected(host) as (reader, writer):
            length = [f"Content-Length: {len(body)}"] if body else []
            head = "\r\n".join([f"{line} HTTP/1.1", "Host: x", *fields, *length])
            writer.write(head.encode() + b"\r\n\r\n" + (body if sends is None else sends))
            return await read_reply(reader)

    def metric(self, name: str, label: str = "") -> float:
        """Return a figure of the process, 0 when it has none of this name and label."""
        lines = self.process._measure().splitlines()
        found = [line for line in lines if line.startswith(f"{name}{{") and label in line]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def bodies_of_keys(self) -> list[StreamReader]:
        """Return a list that the body of each request whose key is looked at comes into.

        `read_ahead` has how many bytes of each had been parsed by then.
        """
        bodies: list[StreamReader] = []
        api = self.process._access.api

        async def look(request: web.BaseRequest, client: Client) -> None:
            bodies.append(request.content)
            self.read_ahead.append(request.content.total_bytes)
            await api(request, client)

        self.process._access.api = look  # type: ignore[method-assign]
        return bodies

    async def _sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.is_waiting.set()
        await self.go.wait()

    async def _behind(self, request: web.BaseRequest) -> web.Response:
        heard = Heard(
            request.method,
            request.path,
            request.headers.get("X-Forwarded-For"),
            await request.read(),
            list(request.headers.items()),
        )
        self.heard.append(heard)
        return web.Response(status=self.worker_status, headers=self.worker_headers)


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    """Return one reply; its body is as long as it says."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Reply(int(first.split()[1]), headers, body)
