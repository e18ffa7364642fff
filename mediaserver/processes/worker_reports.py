"""What workers report to control each second: of themselves, their show, and parts cut short."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.http.problem import ApiError
from mediaserver.ipc.messages import TAKEN_DOWN_HEADER
from mediaserver.people import shows
from mediaserver.people.service import People
from mediaserver.processes.placement import LOST_S, Workers, worker_of
from mediaserver.webhooks.service import Webhooks
from mediaserver.webhooks.stream_health import ShowHealth
from metering.book.async_book import AsyncBook
from metering.book.records import TrueRun
from metering.errors import BookError
from metering.units import Run

CUT_SHORT_MAX: Final = 1024
"""In one report: a worker keeps a quarter of this."""


class WorkerReports:
    """``POST /internal/workers`` on control."""

    def __init__(  # noqa: PLR0917 -- each of another kind
        self,
        workers: Workers,
        book: AsyncBook,
        people: People,
        webhooks: Webhooks,
        oldest_tick: Callable[[], int],
        monotonic: Callable[[], float],
        policy: Callable[[], KnownPolicy | None],
    ) -> None:
        """Take collaborators; what ended before `oldest_tick` need not be kept any more.

        Args:
            policy: Returns what HTTP processes were told last.
        """
        self._policy = policy
        self._monotonic = monotonic
        self._began_s = monotonic()
        self._workers = workers
        self._book = book
        self._people = people
        self._webhooks = webhooks
        self._oldest_tick = oldest_tick
        self._shows: dict[UUID, int] = {}  # by stream, those that are kept

    async def handle(self, request: web.Request) -> web.Response:
        """Take one report; 204 says that the book has what was cut short."""
        body = _object(await request.read())
        worker = worker_of(body)
        await self._workers.report(worker)
        if worker.stream is not None and worker.show:
            await self._keep_show(worker.stream, worker.show)
        await self._tell_shows()
        if body.get("cut_short") and worker.stream is not None:
            runs = [_true_run(worker.stream, part) for part in body["cut_short"][:CUT_SHORT_MAX]]
            oldest = self._oldest_tick()
            try:
                await self._book.run(lambda book: book.true_runs.keep(runs, oldest))
            except BookError as error:
                raise ApiError(503, "The book does not answer", str(error)) from error
        policy = self._policy()
        is_down = policy is not None and worker.stream in policy.restrictions.taken_down
        return web.Response(status=204, headers={TAKEN_DOWN_HEADER: "1"} if is_down else {})

    async def _tell_shows(self) -> None:
        """Have webhooks told which shows are live.

        At first other workers were not heard yet: none of theirs is told to have ended.
        """
        live, paused = dict[UUID, int](), dict[UUID, int]()
        health = dict[UUID, ShowHealth]()
        for worker in self._workers.living():
            if worker.stream is not None and worker.show and worker.state != "ended":
                shows = live if worker.state == "live" else paused
                shows[worker.stream] = worker.show
                health[worker.stream] = ShowHealth(worker.show, worker.state, worker.advice)
        is_whole = self._monotonic() - self._began_s > LOST_S
        with contextlib.suppress(BookError):  # the next report tells it
            await self._webhooks.saw_shows(live, paused, is_whole=is_whole)
            await self._webhooks.saw_health(health)

    async def _keep_show(self, stream: UUID, show: int) -> None:
        if self._shows.get(stream) == show:
            return
        with contextlib.suppress(BookError):  # the next report tries again
            await self._people.write(lambda _, connection: shows.keep(connection, stream, show))
            self._shows[stream] = show


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "Not JSON", "the body is not a JSON object") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Not JSON", "the body is not a JSON object")
    return body


def _true_run(stream: Any, part: Any) -> TrueRun:
    try:
        show, msn, index, first, planned, held = map(int, part)
        return TrueRun(stream, show, msn, index, Run(first, planned), held)
    except (ValueError, TypeError) as error:
        raise ApiError(422, "Not a worker's report", f"cut_short: {error!r}") from error
