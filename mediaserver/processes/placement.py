"""Which worker takes a publisher: one that has the stream already, else a spare.

`Workers` knows them from what they say each second. `WhipForward` checks the stream key, hands the
offer to the chosen worker over its unix socket and returns the worker's answer unchanged.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import aiohttp
from aiohttp import web
from prometheus_client import Counter

from mediaserver import log
from mediaserver.api.auth import bearer
from mediaserver.api.who import address
from mediaserver.http import unix_http
from mediaserver.http.problem import ApiError

LOST_S: Final = 5.0
"""Five reports missed, two of a spare worker: it is gone, or as good as."""
SETTLE_S: Final = 3.0
"""A report that set out before its worker was given a stream must not free the worker again."""
SPARE_WAIT_S: Final = 6.0
"""As many are started as publishers wait, at once: a fork takes a twentieth of a second, loading
the codecs about a second. OBS gives the whole exchange 8 s."""
ANSWER_BYTES_MAX: Final = 1 << 18
WORKERS_MAX: Final = 2000
"""Twice server.workers_max: reports of more are not of our workers."""
_FORWARD_TIMEOUT_S: Final = 15.0
_PUBLISHERS: Final = Counter(
    "mediaserver_placement_publishers", "Offers forwarded, by the worker's answer", ("status",)
)

_log = log.get("placement")


@dataclass(frozen=True, slots=True)
class StreamKey:
    """What a worker must know of the stream it is given."""

    stream: UUID
    slug: str
    key_sha256: bytes


@dataclass(slots=True)
class Worker:
    """One worker, as it last spoke of itself; `socket` is a file name in the run directory."""

    name: str
    pid: int
    socket: str
    stream: UUID | None
    slug: str
    show: int
    state: str
    facts: dict[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    newest_planned_tick: int = 0
    heard_at_s: float = 0.0
    given_at_s: float = float("-inf")


class Workers:
    """The living workers, by name; bounded."""

    def __init__(
        self, monotonic: Callable[[], float], tell_waiting: Callable[[int], None] = lambda _: None
    ) -> None:
        """Take collaborators.

        Args:
            tell_waiting: Called with how many publishers wait for a worker, at each change.
        """
        self._monotonic = monotonic
        self._tell_waiting = tell_waiting
        self._waiting = 0
        self._by_name: dict[str, Worker] = {}
        self._news = asyncio.Condition()

    def living(self) -> tuple[Worker, ...]:
        """Return the workers heard of within `LOST_S`, by name; forgets the others."""
        oldest_s = self._monotonic() - LOST_S
        for worker in list(self._by_name.values()):
            if worker.heard_at_s < oldest_s:
                self.forget(worker.name, "silent")
        return tuple(sorted(self._by_name.values(), key=lambda worker: worker.name))

    def of(self, stream: UUID) -> Worker | None:
        """Return the worker that has this stream."""
        return next((worker for worker in self.living() if worker.stream == stream), None)

    async def report(self, reported: Worker) -> None:
        """Take what a worker reports of itself in place of its last report."""
        now_s = self._monotonic()
        reported.heard_at_s = now_s
        known = self._by_name.get(reported.name)
        if known is None and len(self.living()) >= WORKERS_MAX:
            return
        if known is not None and known.pid == reported.pid:
            reported.given_at_s = known.given_at_s
            if reported.stream is None and now_s - known.given_at_s < SETTLE_S:
                reported.stream, reported.slug = known.stream, known.slug
        self._by_name[reported.name] = reported
        async with self._news:
            self._news.notify_all()

    def take(self, key: StreamKey) -> Worker | None:
        """Return the worker for a publisher of this stream and give it the stream, or None."""
        worker = self.of(key.stream)
        if worker is None:
            worker = next(
                (idle for idle in self.living() if idle.stream is None and idle.state == "idle"),
                None,
            )
        if worker is not None:
            worker.stream, worker.slug = key.stream, key.slug
            worker.given_at_s = self._monotonic()
        return worker

    async def wait_for(self, key: StreamKey) -> Worker | None:
        """Return the worker for a publisher as `take` does, waiting for a spare to come up."""
        worker = self.take(key)
        if worker is not None:
            return worker
        self._wait(1)
        try:
            async with asyncio.timeout(SPARE_WAIT_S), self._news:
                while (worker := self.take(key)) is None:
                    await self._news.wait()
        except TimeoutError:
            return None
        finally:
            self._wait(-1)
        return worker

    def _wait(self, more: int) -> None:
        self._waiting += more
        self._tell_waiting(self._waiting)

    def release(self, name: str) -> None:
        """Take the stream back from a worker which did not begin it."""
        worker = self._by_name.get(name)
        if worker is not None and worker.state == "idle":
            worker.stream, worker.slug = None, ""
            worker.given_at_s = float("-inf")

    def forget(self, name: str, reason: str) -> None:
        """Strike a worker off: it is silent, or refuses connections."""
        worker = self._by_name.pop(name, None)
        if worker is not None:
            _log.info("placement.worker.lost", worker=name, slug=worker.slug, reason=reason)


def waiting_line(notify_fd: int | None) -> Callable[[int], None]:
    """Return what writes how many publishers wait to the server's pipe, a number a line."""

    def write(publishers: int) -> None:
        if notify_fd is not None:
            with contextlib.suppress(BlockingIOError):  # it reads late: the next number will do
                os.write(notify_fd, b"%d\n" % publishers)

    return write


def worker_of(body: Mapping[str, Any]) -> Worker:
    """Return a worker from the JSON object of its report.

    Raises:
        ApiError: 422 when it is not such an object.
    """
    try:
        stream = body["stream"]
        return Worker(
            name=str(body["name"])[:64],
            pid=int(body["pid"]),
            socket=Path(str(body["socket"])).name,
            stream=UUID(hex=stream) if stream else None,
            slug=str(body.get("slug") or ""),
            show=int(body.get("show") or 0),
            state=str(body["state"]),
            facts={
                str(k)[:64]: float(v)
                for k, v in list(dict(body.get("facts") or {}).items())[:64]
                if v is not None
            },
            advice=tuple(str(line)[:500] for line in list(body.get("advice") or ())[:16]),
            newest_planned_tick=int(body.get("newest_planned_tick") or 0),
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ApiError(422, "Not a worker's report", f"{error!r} in the report") from error


class WhipForward:
    """``POST /<slug>/whip`` on control: key, worker, answer."""

    def __init__(
        self,
        run_dir: Path,
        workers: Workers,
        check_key: Callable[[str, str, str], Awaitable[StreamKey]],
    ) -> None:
        """Take collaborators.

        Args:
            check_key: Returns the stream of a slug and key, for who asks from an address; raises
                what the API answers.
        """
        self._run_dir = run_dir
        self._workers = workers
        self._check_key = check_key

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward one offer and return the worker's answer as it is."""
        slug = request.match_info["slug"]
        key = await self._check_key(slug, bearer(request), address(request))
        offer = await request.read()

        # A worker that was chosen may be gone, or have taken another stream a moment ago: the next
        # one is tried.
        for _ in range(3):
            worker = await self._workers.wait_for(key)
            if worker is None:
                break
            try:
                answer = await _post(self._run_dir / worker.socket, request, key, offer)
            except TimeoutError:
                self._workers.release(worker.name)
                break
            except (aiohttp.ClientError, OSError):
                # rules 6: a worker that refuses a connection is gone; the next one may be there.
                self._workers.forget(worker.name, "refused")
                continue
            if answer.status == http.HTTPStatus.CONFLICT:
                # It has another stream, and its report of that is still on the way.
                self._workers.forget(worker.name, "busy")
                continue
            _PUBLISHERS.labels(str(answer.status)).inc()
            _log.info(
                "placement.publisher.forwarded",
                slug=slug,
                worker=worker.name,
                status=answer.status,
            )
            return answer
        raise ApiError(
            503,
            "No worker is free",
            "every worker is busy or still starting; try again in two seconds, or raise "
            "server.workers_max",
            headers={"Retry-After": "2"},
        )


async def _post(socket: Path, request: web.Request, key: StreamKey, offer: bytes) -> web.Response:
    assignment = json.dumps(
        {"stream": key.stream.hex, "slug": key.slug, "key_sha256": key.key_sha256.hex()}
    )
    # A client for each offer: one that is kept would take a worker's closed connection for its end.
    async with unix_http.client(socket, _FORWARD_TIMEOUT_S) as session:
        return await unix_http.relay(
            session,
            request,
            offer,
            {"X-Vilokanam-Stream": assignment},
            answer_bytes_max=ANSWER_BYTES_MAX,
        )
