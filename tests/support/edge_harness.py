"""An origin and an nginx edge before it, with a Redis and viewers who pay."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from aiohttp import web
from msgspec.structs import replace
from yarl import URL

from cdn.nginx import EDGE_HEADER
from mediaserver.cli.edge import write_standalone
from mediaserver.hls.addresses import part_name, segment_name
from mediaserver.hls.live_store import Feed
from mediaserver.ipc.messages import Policy
from mediaserver.playback_token import Grant, mint
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http import HttpProcess
from mediaserver.settings.load import load
from mediaserver.settings.records import Settings
from metering.store.client import Store
from metering.units import (
    AccountId,
    Asset,
    Planck,
    PriceVersion,
    SessionId,
    StreamPolicy,
    shard_of,
)
from tests.support.builders import STREAM, Show
from tests.support.metering_kit import EPOCH, account, open_sessions, opened
from tests.support.servers import nginx
from tests.support.servers.redis import RealRedis

KEY = "edge-key-of-this-test"
KEYS = ((1, b"k" * 32),)
PRICE = 10
FREE_STREAM = UUID(int=8)
FILL_WAIT_MS = 150


class Origin(HttpProcess):
    """The HTTP process itself, and what it was asked."""

    def __init__(self, start: Start) -> None:
        super().__init__(start, 0)
        self.fills: Counter[str] = Counter()
        self.plain: Counter[str] = Counter()
        self.questions = 0
        self.cookies: dict[str, str | None] = {}

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.cookies[request.path] = request.headers.get("Cookie")
        if request.path == "/_edge/authorise":
            self.questions += 1
        elif EDGE_HEADER in request.headers:
            self.fills[request.raw_path] += 1
        else:
            self.plain[request.raw_path] += 1
        return await super()._answer(request)

    @property
    def waiters(self) -> int:
        return self._live_store.waiters

    def feed(self, name: str) -> Feed:
        return self._live_store.feed(name)

    def tell(
        self,
        store: Store,
        epoch: str = EPOCH,
        invited: tuple[UUID, ...] = (),
        ended: tuple[int, ...] = (),
    ) -> None:
        price = (PriceVersion(1, 0, Planck(PRICE)),)
        streams = (
            StreamPolicy(STREAM, "cam", "Cam", price),
            StreamPolicy(FREE_STREAM, "open", "Open", ()),
        )
        self._on_policy(
            Policy(streams, KEYS, Asset(), epoch, store.run_id, "https://pay/{account}",
                   is_top_up_open=False, replay_from_ms=0, invited=invited, ended_sessions=ended)
        )  # fmt: skip


@dataclass
class Viewer:
    """Who pays, in which player."""

    harness: EdgeHarness
    who: AccountId
    session: int
    token: str

    async def get(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        return await self.harness.get(f"/w/{self.token}{path}", method, **headers)

    async def billed(self) -> set[int]:
        """Return the ticks that this viewer's claims have committed."""
        lines = await self.harness.store.unbooked(shard_of(self.who))
        return {
            tick
            for line in lines
            if line.key.account == self.who
            for run in line.runs
            for tick in range(run.first, run.end)
        }


@dataclass
class EdgeHarness:
    """An edge, its origin, a live stream that costs and one that is free."""

    folder: Path
    url: str
    origin: Origin
    store: Store
    client: aiohttp.ClientSession
    settings: Settings
    show: Show
    free: Show
    feeds: dict[str, Feed] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)

    async def get(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        names = {"Accept-Encoding": "identity"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(self.url + path, encoded=True)
        async with self.client.request(method, url, headers=names) as answer:
            return answer.status, await answer.read(), answer.headers

    async def status_of(self, target: str) -> int:
        """Ask for a target exactly as it is written, fragment and all."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", int(self.url.rpartition(":")[2])
        )
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])

    async def viewer(self, number: int, deposit: int = 10**9, **changes: Any) -> Viewer:
        who = account(number)
        await open_sessions(self.store, who, number, deposit=deposit)
        expires_s = changes.pop("expires_s", int(time.time()) + 600)
        stream = changes.pop("stream", STREAM)
        token = mint(Grant(who, stream, SessionId(number), expires_s), KEYS)
        self.tokens.append(token)
        return Viewer(self, who, number, token)

    def segment(self, back: int, rendition: str = "source", slug: str = "cam") -> str:
        """Return the path of a segment: 1 is the newest that is whole."""
        first = (self.show.now_ms - back * 2000) // 1000
        name = segment_name(self.show.msn - back, first, 2)
        return f"/{slug}/5/{rendition}/{name}"

    def ticks(self, back: int) -> set[int]:
        first = (self.show.now_ms - back * 2000) // 1000
        return {first, first + 1}

    def hinted(self, slug: str = "cam") -> str:
        return f"/{slug}/5/source/{part_name(self.show.slot(2))}"

    def make(self, slug: str = "cam") -> None:
        """Make the hinted part."""
        show = self.show if slug == "cam" else self.free
        self.feeds[slug].apply(show.part("source", show.slot(2)))

    async def until(self, question: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not question():  # noqa: ASYNC110 - nginx tells nobody
                await asyncio.sleep(0.005)  # the other side is a process of its own

    def access_log(self) -> str:
        """Return everything that the edge has written but the bytes it keeps."""
        return "".join(
            (self.folder / "edge" / name).read_text(errors="replace")
            for name in ("said", "access.log")
        )


@asynccontextmanager
async def edge_harness(redis_server: RealRedis) -> AsyncIterator[EdgeHarness]:
    folder = Path(tempfile.mkdtemp(prefix="vk-edge-"))
    port, edge_port = nginx.free_port(), nginx.free_port()
    (folder / "run").mkdir()
    (folder / "edge.key").write_text(KEY + "\n")
    settings = load(
        None,
        {
            "VILOKANAM_SERVER__PORT": str(port),
            "VILOKANAM_SERVER__DATA_DIR": str(folder),
            "VILOKANAM_SERVER__DRAIN_TIMEOUT_S": "1",
            "VILOKANAM_METERING__REDIS_URL": redis_server.url,
            "VILOKANAM_EDGE__ORIGIN_URL": f"http://127.0.0.1:{port}",
            "VILOKANAM_EDGE__LISTEN": f"127.0.0.1:{edge_port}",
            "VILOKANAM_EDGE__FILL_WAIT_MS": str(FILL_WAIT_MS),
        },
    )
    config = write_standalone(settings, folder, folder / "edge")
    origin = Origin(Start(settings, None, folder, None))  # type: ignore[arg-type]
    stop = asyncio.Event()
    serving = asyncio.create_task(origin.run(stop))
    begin_ms = (int(time.time()) - 45) * 1000
    show = Show(now_ms=begin_ms)
    free = Show(now_ms=begin_ms, opened=replace(show.opened, slug="open", stream=FREE_STREAM))
    try:
        async with (
            opened(redis_server.url) as (store, _),
            aiohttp.ClientSession(
                auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
            ) as client,
        ):
            with nginx.running(config, edge_port):
                url = f"http://127.0.0.1:{edge_port}"
                harness = EdgeHarness(folder, url, origin, store, client, settings, show, free)
                origin.tell(store)
                for shown in (show, free):
                    slug = shown.opened.slug
                    harness.feeds[slug] = origin.feed(f"worker-{slug}")
                    for message in (*shown.open(), *shown.segments(20), *shown.begin(2)):
                        harness.feeds[slug].apply(message)
                ready = f"http://127.0.0.1:{settings.server.port}/readyz"
                async with asyncio.timeout(10):
                    while (await client.get(ready)).status != 200:  # noqa: ASYNC110 - as players do
                        await asyncio.sleep(0.02)
                yield harness
                written = harness.access_log()
                assert not [token for token in harness.tokens if token in written]
                assert KEY not in written
    finally:
        stop.set()
        await serving
        shutil.rmtree(folder, ignore_errors=True)
