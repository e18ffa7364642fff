"""The HTTP handler on a socket, with a show that tests publish and a fake gate."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import aiohttp
from aiohttp import web

from mediaserver.api.access import Access
from mediaserver.errors import AddressError
from mediaserver.hls.addresses import parse, part_name
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.hls.live_store import Feed, LiveStore
from mediaserver.hls.places import Places
from mediaserver.hls.serve import MediaHandler
from mediaserver.http.client_address import Networks
from mediaserver.ipc.messages import Policy
from mediaserver.people.countries import Countries
from mediaserver.people.settings import WatchSettings
from mediaserver.playback_token import Grant, mint
from metering.units import (
    AccountId,
    Admission,
    Asset,
    Fetch,
    Planck,
    PriceVersion,
    Run,
    SessionId,
    StreamPolicy,
    Verdict,
)
from tests.support.builders import START_MS, STREAM, Show
from tests.support.clock import FakeClock

KEYS = ((1, b"k" * 32),)
ACCOUNT = AccountId(b"a" * 32)
EDGE_KEY = b"edge-secret"


@dataclass
class FakeGate:
    """Grants until set otherwise, and remembers what was claimed."""

    is_priced_now: bool = False
    verdict: Verdict = Verdict.GRANTED
    is_enabled: bool = True
    claimed: list[Fetch] = field(default_factory=list)

    def policy(self, slug: str) -> StreamPolicy | None:
        prices = (PriceVersion(1, 0, Planck(5)),) if self.is_priced_now else ()
        return (
            StreamPolicy(STREAM, "cam", "Cam", prices, self.is_enabled) if slug == "cam" else None
        )

    def is_priced(self, policy: StreamPolicy, run: Run) -> bool:
        return bool(policy.prices) and run.count > 0

    def admit_now(self, fetch: Fetch) -> Admission | None:  # noqa: ARG002 - a port
        return None

    async def admit(self, fetch: Fetch) -> Admission:
        self.claimed.append(fetch)
        return Admission(self.verdict, seconds_left=0)


@dataclass
class ServeHarness:
    """A server with one live stream."""

    base: str
    port: int
    store: LiveStore
    feed: Feed
    handler: MediaHandler
    gate: FakeGate
    clock: FakeClock
    show: Show
    client: aiohttp.ClientSession

    def tell(self, *messages: object) -> None:
        for message in messages:
            self.feed.apply(message)  # type: ignore[arg-type]

    async def get(self, path: str, method: str = "GET", **headers: str) -> aiohttp.ClientResponse:
        names = {"Accept-Encoding": "identity"}
        names |= {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, self.base + path, headers=names)

    async def waiting(self, count: int = 1) -> None:
        """Until so many requests wait in the store."""
        async with asyncio.timeout(5):
            while self.store.waiters < count:  # noqa: ASYNC110 - the store has no event for it
                await asyncio.sleep(0)

    def token(self, stream: UUID = STREAM, expires_s: int = START_MS // 1000 + 60) -> str:
        return mint(Grant(ACCOUNT, stream, SessionId(9), expires_s), KEYS)

    def part(self, msn: int, part: int, rendition: str = "source") -> str:
        start_ms = START_MS + msn * 2000
        slot = replace(self.show.slot(part), msn=msn, start_ms=start_ms + part * 500)
        slot = replace(slot, planned_end_ms=slot.start_ms + 500)
        return f"/cam/5/{rendition}/{part_name(slot)}"


def bytes_of(msn: int, part: int, rendition: str = "source") -> bytes:
    return f"{rendition}/{msn}.{part};".encode() * 50


@asynccontextmanager
async def serving(countries: Countries | None = None) -> AsyncIterator[ServeHarness]:
    """Serve one live stream until the block ends; proxies on this machine name their clients."""
    clock, gate, show = FakeClock(), FakeGate(), Show()
    store = LiveStore(clock, reconnect_wait_s=60, waiters_max=3)
    access = Access(Networks(["127.0.0.1"]), Networks([]), clock, EDGE_KEY)
    places = Places(countries or Countries(WatchSettings()), access.client)
    handler = MediaHandler(store, gate, clock, EDGE_KEY, send_timeout_s=0.2, places=places)
    policy = Policy(
        (), KEYS, Asset(), "", "", "https://pay/{account}", is_top_up_open=False, replay_from_ms=0
    )
    handler.set_policy(KnownPolicy(policy))

    async def root(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/_edge/authorise":
            return await handler.authorize(request, request.headers["X-Original-URI"])
        try:
            return await handler.handle(request, parse(request.raw_path.partition("?")[0]))
        except AddressError:
            return web.Response(status=404)

    runner = web.ServerRunner(web.Server(root, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    feed = store.feed("worker-1")
    async with aiohttp.ClientSession(auto_decompress=False) as client:
        harness = ServeHarness(
            f"http://127.0.0.1:{port}", port, store, feed, handler, gate, clock, show, client
        )
        harness.tell(*show.open(), *show.segments(20), *show.begin(2))
        yield harness
    await runner.cleanup()
