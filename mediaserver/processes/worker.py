"""The worker: one live stream, from its WHIP session to parts on the links.

Started ahead as a spare, since importing the codecs takes most of a second. Control hands it a
stream with the first WHIP request; it then serves that stream's show until the show is over, and
exits 0. It needs neither control nor the HTTP processes to go on: links are made again and
replayed, and control hears of it each second.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import http
import json
import os
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import aiohttp
from aiohttp import web
from prometheus_client import REGISTRY

from mediaserver import log, metrics
from mediaserver.clock import SystemClock
from mediaserver.errors import ConfigError
from mediaserver.http import unix_http
from mediaserver.http.problem_response import problem_response
from mediaserver.ingest import farewell
from mediaserver.ingest.encoder import Encoder
from mediaserver.ingest.session import EndReason
from mediaserver.ingest.whip import CORS_HEADERS, WhipEndpoint
from mediaserver.ipc.client import LinkClients
from mediaserver.ipc.messages import TAKEN_DOWN_HEADER, Hello, Message
from mediaserver.listening import ListeningClock
from mediaserver.live.broadcast import Broadcast
from mediaserver.live.clock_wait import until_due
from mediaserver.live.health import Upload
from mediaserver.live.show_writer import CutShort
from mediaserver.processes import bootstrap, library_pages, memory_limit, worker_warmup
from mediaserver.processes.bootstrap import EXIT_FAILED, Start
from mediaserver.processes.memory_limit import Verdict
from mediaserver.processes.server_clock import open_clock
from mediaserver.processes.worker_metrics import WorkerMetrics
from mediaserver.settings.records import Settings

STREAM_HEADER: Final = "X-Vilokanam-Stream"
REPORT_PERIOD_S: Final = 1.0
"""Control takes a worker for gone after five of these."""
SPARE_REPORT_PERIOD_S: Final = 2.0
"""Of a worker without a stream, which has nothing new to report: half of what control allows."""
_TAKEN_DOWN: Final = "This stream was taken down; `vilokanam streams show` says why."


@dataclass(frozen=True, slots=True)
class Assignment:
    """The stream that control gave to this worker.

    Attributes:
        stream: The stream's UUID.
        slug: Its public name.
        key_sha256: SHA-256 of its stream key: the bearer of PATCH and DELETE is checked here.
    """

    stream: UUID
    slug: str
    key_sha256: bytes

    @classmethod
    def parse(cls, text: str) -> Assignment:
        """Return what the header says.

        Raises:
            ValueError: If it is not what control writes.
        """
        body = json.loads(text)
        return cls(UUID(hex=body["stream"]), str(body["slug"]), bytes.fromhex(body["key_sha256"]))

    def is_key(self, key: str) -> bool:
        """Return whether `key` is the stream's key, in constant time."""
        return hmac.compare_digest(hashlib.sha256(key.encode()).digest(), self.key_sha256)


class Worker:
    """Answers control and HTTP processes on its own unix socket."""

    def __init__(self, start: Start, name: str, notify_fd: int | None) -> None:
        tree = start.settings
        self._settings = tree
        self._name = name
        self._notify_fd = notify_fd
        self._clock = ListeningClock(open_clock(start.run_dir))
        self._listening: asyncio.Task[None] | None = None
        self._limiting: asyncio.Task[None] | None = None
        self._log = log.get("worker")
        self._run_dir = start.run_dir
        self._assignment: Assignment | None = None
        self._broadcast: Broadcast | None = None
        self._endpoint: WhipEndpoint | None = None
        self._farewells = farewell.Farewells(start.run_dir, name)
        self._taken = asyncio.Event()
        self._over = asyncio.Event()
        self._links = LinkClients(
            self._run_dir, Hello("worker", name, os.getpid()), on_connect=self._replay
        )
        self.app = web.Application(client_max_size=tree.ingest.offer_bytes_max + 1)
        self.app.router.add_post("/{slug}/whip", self._post)
        self.app.router.add_route("*", "/{slug}/whip/{session}", self._session)
        self.app.router.add_get("/internal/metrics", self._metrics)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until the show is over, or `stop` is set: then the show can be continued."""
        path = self._run_dir / f"worker-{self._name}.sock"
        path.unlink(missing_ok=True)
        runner = web.AppRunner(self.app, access_log=None, handle_signals=False)
        await runner.setup()
        await web.UnixSite(runner, str(path)).start()
        await worker_warmup.warm_up(self._settings, self._clock)
        worker_warmup.settle(self._settings, self._clock)
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._over)]
        collector = WorkerMetrics(self._facts)
        REGISTRY.register(collector)
        try:
            async with self._links:
                reporting = asyncio.create_task(self._report_for_ever())
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if self._endpoint is not None:
                    await self._endpoint.close("drained")
                if self._broadcast is not None:
                    await self._broadcast.drain(end_show=False)
                reporting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reporting
                if self._broadcast is not None and self._broadcast.writer.cut_short:
                    async with self._control() as control:
                        await self._report_to(control)
        finally:
            REGISTRY.unregister(collector)
            for wait in waits:
                wait.cancel()
            for task in (self._listening, self._limiting):
                if task is not None:
                    task.cancel()
            await runner.cleanup()
            path.unlink(missing_ok=True)

    def _replay(self) -> Sequence[Message]:
        return () if self._broadcast is None else self._broadcast.writer.replay()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            given = Assignment.parse(request.headers[STREAM_HEADER])
        except (KeyError, ValueError):
            return problem_response(
                400, "Not from control", f"the header {STREAM_HEADER} is missing"
            )
        if self._assignment is None:
            await self._take(given)
        elif given.stream != self._assignment.stream:
            return problem_response(409, "Busy", f"this worker serves {self._assignment.slug}")
        # A rotated key comes with the next POST.
        self._assignment = given
        assert self._endpoint is not None
        assert self._broadcast is not None
        early = await until_due(self._broadcast.writer.floor_ms, self._clock)
        if early:
            self._log.warning("worker.publisher.early", reason=early)
            return problem_response(
                503, "The clock is behind", early, {**CORS_HEADERS, "Retry-After": "10"}
            )
        return await self._endpoint.post(request)

    async def _take(self, given: Assignment) -> None:
        self._assignment = given
        # One worker has one stream to its end: a grep for the slug finds the stream's whole story.
        log.bind_process(slug=given.slug, stream_id=str(given.stream))
        self._taken.set()
        self._listening = asyncio.create_task(self._clock.listen())
        self._limiting = asyncio.create_task(self._limit_memory())
        if self._notify_fd is not None:
            os.write(self._notify_fd, b"busy\n")
        tree = self._settings
        self._broadcast = Broadcast(
            stream=given.stream,
            slug=given.slug,
            settings=tree,
            clock=self._clock,
            publish=self._links.send,
            request_keyframe=self._request_keyframe,
            end_publisher=self._end_publisher,
            ingest_facts=self._ingest_facts,
            on_over=self._over.set,
        )
        await self._broadcast.start()
        self._endpoint = WhipEndpoint(
            tree.ingest,
            self._broadcast,
            self._clock,
            self._name,
            self._is_key,
            farewells=self._farewells,
        )
        self._log.info("worker.stream.taken", stream_id=str(given.stream), slug=given.slug)

    def _is_key(self, key: str) -> bool:
        return self._assignment is not None and self._assignment.is_key(key)

    def _request_keyframe(self) -> None:
        if self._endpoint is not None:
            self._endpoint.request_keyframe()

    def _end_publisher(self, reason: EndReason) -> None:
        if self._endpoint is not None:
            self._endpoint.end_publisher(reason)

    async def _limit_memory(self) -> None:
        limit_mb = self._settings.server.worker_memory_max_mb
        limit = memory_limit.MemoryLimit(limit_mb)
        while True:
            await asyncio.sleep(memory_limit.PERIOD_S)
            used_mb = memory_limit.used_mb()
            verdict = limit.judge(used_mb, self._clock.monotonic())
            if verdict is Verdict.GO_ON:
                continue
            self._log.error(
                "worker.memory.exceeded", used_mb=used_mb, limit_mb=limit_mb, action=verdict.value
            )
            if verdict is Verdict.END_WORKER:
                # Not in order: codecs hold the memory. The parent tells the publisher.
                os._exit(EXIT_FAILED)
            if self._endpoint is not None:
                self._endpoint.end_publisher(EndReason.MEMORY, memory_limit.advice(limit_mb))

    def _ingest_facts(self) -> Upload:
        if self._endpoint is None:
            return {}, (), Encoder.OTHER
        return self._endpoint.facts(), self._endpoint.advice(), self._endpoint.encoder

    async def _session(self, request: web.Request) -> web.StreamResponse:
        if self._endpoint is None:
            return problem_response(404, "No such session", "this worker has no publisher")
        return await self._endpoint.session(request)

    def _facts(self) -> dict[str, float]:
        return {} if self._broadcast is None else self._broadcast.health().facts

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(text=metrics.own_text(f"worker-{self._name}"))

    async def _report_for_ever(self) -> None:
        has_said = False
        async with self._control() as control:
            is_live = False
            while True:
                is_heard = await self._report_to(control)
                if is_heard and not has_said:
                    # Whose worker died may come back now: control knows of this one.
                    has_said = True
                    await farewell.say(self._run_dir)
                if not is_live and self._broadcast and self._broadcast.health().state == "live":
                    # What connecting and the first keyframe needed; what media needs comes back.
                    library_pages.release()
                    is_live = True
                if self._taken.is_set():
                    await asyncio.sleep(REPORT_PERIOD_S)
                else:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._taken.wait(), SPARE_REPORT_PERIOD_S)

    def _control(self) -> aiohttp.ClientSession:
        return unix_http.client(self._run_dir / "control.sock", REPORT_PERIOD_S)

    async def _report_to(self, control: aiohttp.ClientSession) -> bool:
        """Report once, and return whether control took it.

        Parts that were cut short are told again until it has.
        """
        unkept = deque[CutShort]() if self._broadcast is None else self._broadcast.writer.cut_short
        reported = tuple(unkept)
        report = self._report() | {"cut_short": [_cut_json(part) for part in reported]}
        is_kept = False
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with control.post("http://control/internal/workers", json=report) as answer:
                is_kept = answer.status == http.HTTPStatus.NO_CONTENT
                if self._endpoint is not None and TAKEN_DOWN_HEADER in answer.headers:
                    self._endpoint.end_publisher(EndReason.TAKEN_DOWN, _TAKEN_DOWN)
            for part in reported if is_kept else ():
                with contextlib.suppress(ValueError):  # dropped for want of room meanwhile
                    unkept.remove(part)
        return is_kept

    def _report(self) -> dict[str, Any]:
        given, broadcast = self._assignment, self._broadcast
        health = None if broadcast is None else broadcast.health()
        return {
            "name": self._name,
            "pid": os.getpid(),
            "socket": f"worker-{self._name}.sock",
            "stream": None if given is None else given.stream.hex,
            "slug": None if given is None else given.slug,
            "show": None if broadcast is None else broadcast.writer.number,
            "newest_planned_tick": None
            if broadcast is None
            else broadcast.writer.newest_planned_tick,
            "state": "idle" if health is None else health.state,
            "facts": {} if health is None else health.facts,
            "advice": [] if health is None else list(health.advice),
        }


def _cut_json(part: CutShort) -> list[int]:
    slot = part.slot
    return [part.show, slot.msn, slot.part, slot.first_tick, slot.tick_count, part.held_count]


def warm_up(settings: Settings) -> None:
    """Do in the fork server what each worker forked there would do for its first time."""
    asyncio.run(worker_warmup.warm_up(settings, SystemClock()))


def main(argv: list[str] | None = None) -> int:
    """Run one worker: ``python -m mediaserver.processes.worker --config FILE --name w1``."""
    parser = bootstrap.parser("one live stream of a Vilokanam server")
    parser.add_argument("--name", required=True)
    parser.add_argument("--notify-fd", type=int, default=None)
    try:
        start = bootstrap.begin(parser.parse_args(argv))
    except ConfigError as error:
        return bootstrap.refuse(error)
    arguments = start.arguments

    async def run(stop: asyncio.Event) -> None:
        await Worker(start, arguments.name, arguments.notify_fd).run(stop)

    return bootstrap.run(
        f"worker-{arguments.name}", start.settings, run, on_reload=bootstrap.reloader(start)
    )


if __name__ == "__main__":
    sys.exit(main())
