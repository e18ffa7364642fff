"""An HTTP process: media from memory, the meter, the page; all else forwarded. No SQL.

Several share the TCP port (`reuse_port`). Windows come from the workers' links, prices and keys
from control's: one that restarts is refilled by both, and goes on alone while control is away.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from prometheus_client import REGISTRY

from mediaserver import log, metrics
from mediaserver.api.meter import Meter, Viewer
from mediaserver.api.pages import Pages
from mediaserver.clock import SystemClock
from mediaserver.errors import AccessDeniedError, AddressError, ConfigError
from mediaserver.hls import addresses
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.serve import MediaHandler
from mediaserver.http.problem_response import problem_response
from mediaserver.http.unix_http import Proxy
from mediaserver.ingest import whip
from mediaserver.ipc.messages import Policy
from mediaserver.ipc.server import LinkServer
from mediaserver.playback_token import Grant, verify
from mediaserver.processes import bootstrap
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http_metrics import HttpMetrics
from mediaserver.processes.metrics_endpoint import Scrape
from metering.admission.gate import LocalGate
from metering.model.price import in_force
from metering.store.claim_client import RawClaims
from metering.units import StreamPolicy, session_text, top_up_address

REDIS_SOCKET: Final = "redis.sock"
"""Under ``run/``: the embedded Redis."""
_HOME: Final = "Vilokanam is running. A stream's watch page is at /<stream>/.\n"
KEEPALIVE_S: Final = 75.0
"""Longer than a player's longest pause between two fetches of a live stream."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpProcess:
    """Composes one process and routes its requests."""

    def __init__(self, start: Start, index: int) -> None:
        tree = start.settings
        self._settings = tree
        self._name = f"http-{index}"
        self._clock = SystemClock()
        self._log = log.get("http")
        run_dir = start.run_dir
        self._run_dir = run_dir
        self._claims = RawClaims(
            tree.metering.redis_url or f"unix://{run_dir / REDIS_SOCKET}",
            watched_hours=tree.metering.watched_hours,
            window_ms=tree.hls.window_ms,
            timeout_ms=tree.metering.claim_timeout_ms,
        )
        self._gate = LocalGate(self._claims, tree.metering, self._clock)
        self._live_store = LiveStore(
            self._clock, tree.ingest.reconnect_wait_s, tree.hls.waiters_max
        )
        self._links = LinkServer(run_dir / f"{self._name}.link", self._live_store, self._on_policy)
        edge_key = Path(tree.auth.edge_key_file or start.data_dir / "edge.key")
        self._media = MediaHandler(
            self._live_store,
            self._gate,
            self._clock,
            edge_key=edge_key.read_bytes().strip() if edge_key.exists() else b"",
        )
        self._pages = Pages()
        self._proxy = Proxy(run_dir)
        self._scrape = Scrape(run_dir, f"{self._name}.sock", self._measure)
        self._policy: Policy | None = None
        self._meter = Meter(
            self._claims,
            policy=self._gate.policy,
            price=self._price_now,
            state=self._live_store.state,
            asset=lambda: tree.asset,
            top_up_url=lambda: tree.price.top_up_url,
        )
        self._metrics = HttpMetrics(
            media=self._media,
            store=self._live_store,
            links=self._links,
            gate=self._gate,
            claims=self._claims,
            meter=self._meter,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then finish what is under way within the drain time-out."""
        server = self._settings.server
        async with AsyncExitStack() as stack:
            REGISTRY.register(self._metrics)
            stack.callback(REGISTRY.unregister, self._metrics)
            await stack.enter_async_context(self._claims)
            await stack.enter_async_context(self._proxy)
            await stack.enter_async_context(self._meter)
            stack.push_async_callback(self._gate.close)
            await stack.enter_async_context(self._links)
            # A bare server for each: an application's router and middlewares cost a part 10 us.
            public = await self._serve(stack, self._dispatch)
            await web.TCPSite(public, server.host, server.port, reuse_port=True).start()
            path = self._run_dir / f"{self._name}.sock"
            path.unlink(missing_ok=True)
            stack.callback(path.unlink, missing_ok=True)
            await web.UnixSite(await self._serve(stack, self._own_metrics), str(path)).start()
            self._log.info("http.process.started", port=server.port, pid=os.getpid())
            await stop.wait()

    async def _serve(self, stack: AsyncExitStack, handler: _Handler) -> web.ServerRunner:
        runner = web.ServerRunner(
            # No body is unpacked: one that is not the gzip it says would be a traceback each.
            web.Server(
                handler, access_log=None, keepalive_timeout=KEEPALIVE_S, auto_decompress=False
            ),
            shutdown_timeout=self._settings.server.drain_timeout_s / 2,
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        return runner

    def _on_policy(self, policy: Policy) -> None:
        self._policy = policy
        self._media.set_policy(policy)
        self._gate.set_policy(
            policy.streams,
            policy.asset,
            epoch=policy.store_epoch,
            run_id=policy.store_run_id,
            replay_from_ms=policy.replay_from_ms,
            received_at_s=self._clock.monotonic(),
        )

    async def _dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            address = addresses.parse(request.raw_path.partition("?")[0])
        except AddressError:
            return await self._other(request)
        match address.place:
            case (
                addresses.PartAddress()
                | addresses.MediaPlaylist()
                | addresses.Segment()
                | addresses.Multivariant()
                | addresses.Init()
            ):
                return await self._media.handle(request, address)
            case addresses.WatchPage():
                return self._page(address)
            case addresses.Meter():
                return await self._serve_meter(request, address)
            case addresses.SessionMint() | addresses.TopUp() | addresses.Receipts():
                return await self._forward(request, "control.sock")
            case addresses.WhipEndpoint():
                return await self._whip(request)
            case addresses.WhipSession(worker=worker):
                return await self._whip_session(request, worker)

    async def _other(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith("/api/"):
            return await self._forward(request, "control.sock")
        if path.startswith("/assets/"):
            answer = self._pages.asset(path.removeprefix("/assets/"), request)
            return answer or problem_response(404, "Not found", path)
        if addresses.is_slug(path[1:]):
            # People leave out the last slash; the page's addresses are relative to it.
            return web.Response(status=308, headers={"Location": f"{path}/"})
        match path:
            case "/":
                return web.Response(text=_HOME)
            case "/_edge/authorise":
                asked = request.headers.get("X-Original-URI", "")
                return await self._media.authorize(request, asked)
            case "/healthz":
                return web.Response(text="ok\n")
            case "/readyz":
                return self._ready()
            case "/metrics":
                return await self._all_metrics()
        return problem_response(404, "Not found", f"{path} is nothing here")

    async def _forward(self, request: web.BaseRequest, socket: str) -> web.StreamResponse:
        coding = request.headers.get("Content-Encoding", "identity")
        if coding.lower() != "identity":
            return problem_response(
                415,
                "Packed body",
                f"the body is sent with Content-Encoding: {coding[:64]}; send it as it is",
                {"Accept-Encoding": "identity"},  # RFC 9110, 15.5.16
            )
        # RFC 9110, 10.1.1: libcurl, and OBS with it, holds a larger offer back for a second else.
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = (
                0  # nothing of the answer is out: an error can still be sent
            )
        return await self._proxy.forward(request, socket)

    async def _whip(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return await whip.endpoint_options(request)
        if request.method == "GET":
            return await whip.endpoint_get(request)
        return await self._forward(request, "control.sock")

    async def _whip_session(self, request: web.BaseRequest, worker: str) -> web.StreamResponse:
        socket = f"worker-{worker}.sock"
        if not self._proxy.exists(socket):
            return problem_response(404, "No such session", "the session is over; POST a new offer")
        return await self._forward(request, socket)

    def _page(self, address: addresses.Address) -> web.StreamResponse:
        slug = address.place.slug
        policy = self._gate.policy(slug)
        if policy is None or not policy.is_enabled or not self._settings.hls.is_page_enabled:
            return problem_response(404, "No such stream", f"there is no stream {slug!r}")
        return self._pages.page(self._boot(address.token, policy))

    def _boot(self, token: str, policy: StreamPolicy) -> dict[str, Any]:
        """Return what the watch page needs to start without asking (web/sdk/types.ts, Boot)."""
        price = self._settings.price
        grant: Grant | None = None
        if token:
            with contextlib.suppress(AccessDeniedError):
                grant = self._grant(token)
        playlist = self._live_store.boot_playlist(policy.slug)
        return {
            "stream": policy.slug,
            "title": policy.title,
            "state": self._live_store.state(policy.slug),
            "multivariant": self._live_store.multivariant(policy.slug),
            "playlist": {"uri": playlist[0], "text": playlist[1]} if playlist else None,
            "price": {
                "planck_per_s": str(self._price_now(policy)),
                "symbol": price.asset_symbol,
                "decimals": price.asset_decimals,
            },
            "session": session_text(grant.session) if grant else None,
            **({"expires_ms": grant.expires_s * 1000} if grant else {}),
            "now_ms": self._clock.now_ms(),
            "top_up": {
                "open": self._policy is not None and self._policy.is_top_up_open,
                "url": top_up_address(price.top_up_url, grant.account if grant else None),
            },
        }

    def _price_now(self, policy: StreamPolicy) -> int:
        version = in_force(policy.prices, self._clock.now_ms() // 1000)
        return version.planck_per_tick if version else 0

    def _grant(self, token: str) -> Grant:
        keys = self._policy.token_keys if self._policy else ()
        return verify(token, keys, self._clock.now_ms() // 1000)

    async def _serve_meter(
        self, request: web.BaseRequest, address: addresses.Address
    ) -> web.StreamResponse:
        policy = self._gate.policy(address.place.slug)
        if policy is None:
            return problem_response(
                404, "No such stream", f"there is no stream {address.place.slug!r}"
            )
        try:
            grant = self._grant(address.token)
        except AccessDeniedError as error:
            return problem_response(error.status, "Not allowed", error.reason)
        if grant.stream != policy.stream:
            return problem_response(403, "Not allowed", "the token is for another stream")
        return await self._meter.serve(request, Viewer(grant.account, grant.session, policy))

    def _ready(self) -> web.Response:
        faults = []
        if self._policy is None:
            faults.append("control has not been heard of")
        if not self._gate.is_ready:
            faults.append("Redis is away or not yet recovered: priced media is refused")
        if self._claims.refusal:
            faults.append(f"Redis refuses claims, and so is priced media: {self._claims.refusal}")
        if faults:
            return web.json_response({"ready": False, "faults": faults}, status=503)
        return web.json_response({"ready": True})

    def _measure(self) -> str:
        return metrics.own_text(self._name)

    async def _own_metrics(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(text=self._measure())

    async def _all_metrics(self) -> web.Response:
        text = await self._scrape.text()
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})


def main(argv: list[str] | None = None) -> int:
    """Run one HTTP process: ``python -m mediaserver.processes.http --config FILE --index 0``."""
    parser = bootstrap.parser("one HTTP process of a Vilokanam server")
    parser.add_argument("--index", type=int, default=0)
    try:
        start = bootstrap.begin(parser.parse_args(argv))
    except ConfigError as error:
        return bootstrap.refuse(error)
    index = start.arguments.index

    async def run(stop: asyncio.Event) -> None:
        await HttpProcess(start, index).run(stop)

    return bootstrap.run(f"http-{index}", start.settings, run)


if __name__ == "__main__":
    sys.exit(main())
