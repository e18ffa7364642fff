"""An HTTP process: media from memory, the meter, the page; all else forwarded. No SQL.

Several share the parent's listening sockets. Windows come from the workers' links, prices and keys
from control's: one that restarts is refilled by both, and goes on alone while control is away.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import REGISTRY

from mediaserver import log, metrics
from mediaserver.api.access import Access, body_bytes_max
from mediaserver.api.auth import ADMIN_PREFIX, HOOKS_PREFIX, PUBLIC, WRONG_HEADER
from mediaserver.api.cors import Cors
from mediaserver.api.notice_page import refused_link
from mediaserver.api.pages import Pages
from mediaserver.api.report_page import report
from mediaserver.api.viewers.meter import Meter, Viewer
from mediaserver.api.watch_page import WatchPage
from mediaserver.errors import AccessDeniedError, AddressError, ConfigError
from mediaserver.hls import addresses
from mediaserver.hls.known_policy import KnownPolicy, follow
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.places import Places
from mediaserver.hls.restrictions import HiddenError
from mediaserver.hls.serve import MediaHandler
from mediaserver.http.client_address import Client, Networks
from mediaserver.http.connections import Bounds, Connection, Connections
from mediaserver.http.edge_key import VIA_HEADER
from mediaserver.http.problem import ApiError
from mediaserver.http.problem_response import error_response, problem_response
from mediaserver.http.unix_http import Proxy
from mediaserver.ipc.messages import Policy, PolicyChange
from mediaserver.ipc.server import LinkServer
from mediaserver.live.show_state import resumable
from mediaserver.people.countries import Countries
from mediaserver.processes import bootstrap, descriptors, library_pages
from mediaserver.processes.answer_times import AnswerTimes, kind_of_request
from mediaserver.processes.availability import PLATFORM_KINDS, Availability, Reading
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.http_metrics import HttpMetrics
from mediaserver.processes.metrics_endpoint import Scrape
from mediaserver.processes.own_answers import own_answers
from mediaserver.processes.public_answers import PublicAnswers
from mediaserver.processes.readiness import ready
from mediaserver.processes.server_clock import open_clock
from mediaserver.processes.sites import start_sites
from mediaserver.processes.whip_front import WhipFront
from mediaserver.settings.records import Settings
from metering.admission.gate import LocalGate
from metering.store.claim_client import RawClaims

REDIS_SOCKET: Final = "redis.sock"
"""Under ``run/``: the embedded Redis."""
_HOME: Final = "Vilokanam is running. A stream's watch page is at /<stream>/.\n"
OWN_BODY_BYTES_MAX: Final = 4 << 10
"""Of a viewer's own requests, which have none."""
DESCRIPTORS_KEPT: Final = 256
"""For links, files and clients of our own, beside the connections of strangers."""


class HttpProcess:
    """Composes one process and routes its requests."""

    def __init__(self, start: Start, index: int, listen_fds: str = "") -> None:
        tree = start.settings
        self._listen_fds = listen_fds
        self._settings = tree
        self._name = f"http-{index}"
        self._clock = open_clock(start.run_dir)
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
        wait_s = tree.ingest.reconnect_wait_s
        for kept in resumable(start.data_dir / "shows", self._clock.now_ms(), wait_s):
            self._live_store.resumption.expect(*kept)
        self._links = LinkServer(run_dir / f"{self._name}.link", self._live_store, self._on_policy)
        self._edge_key_file = Path(tree.auth.edge_key_file or start.data_dir / "edge.key")
        edge_key = self._read_edge_key()
        proxies = Networks(tree.server.trusted_proxies)
        admins = Networks(tree.auth.admin_networks)
        self._access = Access(proxies, admins, self._clock, edge_key)
        self._countries = Countries(tree.watch)
        places = Places(self._countries, self._access.client)
        self._media = MediaHandler(
            self._live_store, self._gate, self._clock, edge_key, places=places
        )
        self._bounds = Bounds(
            min(tree.server.connections_max, max(descriptors.limit() - DESCRIPTORS_KEPT, 64)),
            tree.server.connections_per_address_max,
            proxies,
        )
        self._public: Connections | None = None
        self._pages = Pages()
        self._watch_page = WatchPage(
            tree,
            pages=self._pages,
            store=self._live_store,
            clock=self._clock,
            find=self._gate.policy,
            control=lambda: self._policy,
            places=places,
        )
        self._cors = Cors(tree.server.cors_origins)
        self._proxy = Proxy(run_dir)
        self._public_answers = PublicAnswers(self._proxy, self._clock.monotonic)
        self._whip = WhipFront(
            self._access, self._proxy, self._forward, tree.ingest.offer_bytes_max
        )
        self._scrape = Scrape(run_dir, f"{self._name}.sock", self._measure)
        self._known: KnownPolicy | None = None
        self._meter = Meter(
            self._claims,
            policy=self._gate.policy,
            price=self._watch_page.price_now,
            next_price=self._watch_page.next_price,
            now_ms=self._clock.now_ms,
            state=self._live_store.state,
            show=self._live_store.show_number,
            asset=lambda: tree.asset,
            top_up_url=lambda: self._settings.price.top_up_url,
        )
        self._times = AnswerTimes()
        # Two parts may be late for one, and a second is how often it is looked.
        stale_s = 1.0 + 2 * tree.hls.part_target_ms / 1000
        self._availability = Availability(self._count, self._clock.monotonic, stale_s)
        self._metrics = HttpMetrics(
            media=self._media,
            store=self._live_store,
            links=self._links,
            gate=self._gate,
            claims=self._claims,
            meter=self._meter,
            access=self._access,
            proxy=self._proxy,
            connections=lambda: self._public,
        )

    def take(self, settings: Settings) -> None:
        """Take over what a reload may change: the top-up address and the edges' key."""
        self._settings = settings
        self._watch_page.settings = settings
        self._media.edge_key = self._access.edge_key = self._read_edge_key()

    def _read_edge_key(self) -> bytes:
        file = self._edge_key_file
        return file.read_bytes().strip() if file.exists() else b""

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then finish what is under way within the drain time-out."""
        server = self._settings.server
        async with AsyncExitStack() as stack:
            for collector in (self._metrics, self._times, self._availability):
                REGISTRY.register(collector)
                stack.callback(REGISTRY.unregister, collector)
            await stack.enter_async_context(self._claims)
            await stack.enter_async_context(self._proxy)
            await stack.enter_async_context(self._meter)
            stack.push_async_callback(self._gate.close)
            await stack.enter_async_context(self._links)
            await stack.enter_async_context(self._countries)
            await stack.enter_async_context(self._availability)
            # A bare server for each: an application's router and middlewares cost a part 10 us.
            self._public = Connections(self._answer, self._bounds)
            public = await self._serve(stack, self._public)
            await start_sites(public, self._listen_fds, server.host, server.port)
            stack.callback(self._live_store.end_waits)
            path = self._run_dir / f"{self._name}.sock"
            path.unlink(missing_ok=True)
            stack.callback(path.unlink, missing_ok=True)
            own = web.Server(own_answers(self._measure, self._media.audience), access_log=None)
            await web.UnixSite(await self._serve(stack, own), str(path)).start()
            self._log.info("http.process.started", port=server.port, pid=os.getpid())
            library_pages.release_later()
            await stop.wait()

    async def _serve(self, stack: AsyncExitStack, server: web.Server) -> web.ServerRunner:
        runner = web.ServerRunner(
            server, shutdown_timeout=self._settings.server.drain_timeout_s / 2
        )
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        return runner

    def _on_policy(self, message: Policy | PolicyChange) -> None:
        self._known = known = follow(self._known, message)
        policy = known.rest
        self._access.set_policy(known)
        self._media.set_policy(known)
        self._watch_page.restrictions = known.restrictions
        self._meter.end(frozenset(policy.ended_sessions))
        self._gate.set_policy(
            policy.streams,
            policy.asset,
            epoch=policy.store_epoch,
            run_id=policy.store_run_id,
            replay_from_ms=policy.replay_from_ms,
            received_at_s=self._clock.monotonic(),
            is_change=isinstance(message, PolicyChange),
        )

    @property
    def _policy(self) -> Policy | None:
        return None if self._known is None else self._known.rest

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        if (
            isinstance(connection, Connection)
            and connection.hear()
            and VIA_HEADER in request.headers
            and self._access.is_edge(request)
        ):
            connection.release()
        began_s = self._clock.monotonic()
        path, _, query = request.raw_path.partition("?")
        try:
            address = addresses.parse(path)
        except AddressError:
            address = None
        try:
            if address is None:
                answer = await self._other(request)
            elif isinstance(address.place, addresses.FETCHED):
                # Not through one more coroutine: these are nearly all requests.
                answer = await self._media.handle(request, address)
            else:
                answer = await self._dispatch(request, address)
        except ApiError as error:
            answer = error_response(error)
        kind = kind_of_request(address, path, query)
        self._times.observe(kind, answer.status, self._clock.monotonic() - began_s)
        return answer

    async def _dispatch(
        self, request: web.BaseRequest, address: addresses.Address
    ) -> web.StreamResponse:
        match address.place:
            case addresses.WatchPage():
                return self._watch_page.answer(request, address)
            case addresses.Meter():
                return await self._serve_meter(request, address)
            case (
                addresses.SessionMint()
                | addresses.Sessions()
                | addresses.TopUp()
                | addresses.Receipts()
                | addresses.PlayerSettings()
            ):
                if request.method == "OPTIONS":
                    return self._cors.preflight(request)
                return self._cors.marked(request, await self._own(request, address))
            case addresses.Report():
                refused = self._watch_page.may_report(request, address)
                return refused or await report(request, address, self._access, self._forward)
            case addresses.WhipEndpoint(slug=slug):
                return await self._whip.endpoint(request, slug)
            case addresses.WhipSession(worker=worker):
                return await self._whip.session(request, worker)
            case _:
                return await self._media.handle(request, address)

    async def _other(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path in PUBLIC:
            client = self._access.client(request)
            return await self._public_answers.answer(request, client.certain_text)
        if path.startswith((ADMIN_PREFIX, HOOKS_PREFIX)):
            client = self._access.client(request)
            await self._access.api(request, client)
            answered = await self._forward(request, "control.sock", client, body_bytes_max(request))
            if kind := answered.headers.popall(WRONG_HEADER, ()):
                await self._access.wrong(kind[0], client)
            return answered
        if path.startswith("/assets/"):
            answer = self._pages.asset(path.removeprefix("/assets/"), request)
            return answer or problem_response(404, "Not found", path)
        if addresses.lacks_slash(path) or path == "/me":
            # People leave out the last slash; the page's addresses are relative to it.
            return web.Response(status=308, headers={"Location": f"{path}/"})
        match path:
            case "/":
                return web.Response(text=_HOME)
            case "/me/":
                return self._pages.account()
            case "/_edge/authorise":
                asked = request.headers.get("X-Original-URI", "")
                return await self._media.authorize(request, asked)
            case "/healthz":
                return web.Response(text="ok\n")
            case "/readyz":
                return await ready(self._policy, self._gate, self._claims, self._clock)
            case "/metrics":
                return await self._all_metrics()
        return self._watch_page.nothing(request)

    async def _forward(
        self, request: web.BaseRequest, socket: str, client: Client, body_bytes_max: int
    ) -> web.StreamResponse:
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
        return await self._proxy.forward(request, socket, client.certain_text, body_bytes_max)

    async def _own(
        self, request: web.BaseRequest, address: addresses.Address
    ) -> web.StreamResponse:
        if self._policy is not None:
            # Wrong links are answered from memory: they cost control, and the book, nothing.
            try:
                self._watch_page.grant(address.token)
            except AccessDeniedError as error:
                return refused_link(request, error)
        client = self._access.client(request)
        return await self._forward(request, "control.sock", client, OWN_BODY_BYTES_MAX)

    async def _serve_meter(
        self, request: web.BaseRequest, address: addresses.Address
    ) -> web.StreamResponse:
        try:
            policy, grant = self._watch_page.viewer(address)
        except HiddenError:
            return problem_response(
                404, "No such stream", f"there is no stream {address.place.slug!r}"
            )
        except AccessDeniedError as error:
            return problem_response(error.status, "Not allowed", error.reason)
        return await self._meter.serve(request, Viewer(grant.account, grant.session, policy))

    def _measure(self) -> str:
        return metrics.own_text(self._name)

    def _count(self) -> Reading:
        return Reading(
            self._times.failed(PLATFORM_KINDS),
            self._live_store.edges(),
            self._gate.unanswered_total,
            may_claim=self._gate.is_ready and not self._claims.refusal,
        )

    async def _all_metrics(self) -> web.Response:
        text = await self._scrape.text()
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})


def main(argv: list[str] | None = None) -> int:
    """Run one HTTP process: ``python -m mediaserver.processes.http --config FILE --index 0``."""
    parser = bootstrap.parser("one HTTP process of a Vilokanam server")
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--listen-fds", default="", help="of the parent, with commas")
    try:
        start = bootstrap.begin(parser.parse_args(argv))
    except ConfigError as error:
        return bootstrap.refuse(error)
    index = start.arguments.index
    made: list[HttpProcess] = []

    async def run(stop: asyncio.Event) -> None:
        made.append(HttpProcess(start, index, start.arguments.listen_fds))
        await made[0].run(stop)

    def take(settings: Settings) -> None:
        for process in made:
            process.take(settings)

    name, reload = f"http-{index}", bootstrap.reloader(start, take)
    return bootstrap.run(name, start.settings, run, on_reload=reload)


if __name__ == "__main__":
    sys.exit(main())
