"""Control: one process; the only writer of the book, the admin API, publishers' placement.

It serves ``run/control.sock`` and sends every HTTP process, over its link, what it needs to decide
alone. Workers and viewers go on while it restarts; it learns of the workers again from their
reports, and of all else from the book.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from aiohttp import web
from prometheus_client import Gauge

from mediaserver import log, metrics
from mediaserver.accounting.escrow_service import open_escrow
from mediaserver.accounting.onchain_service import OnChain, open_on_chain
from mediaserver.accounting.settlement_service import Settlement
from mediaserver.accounting.store_supervisor import StoreSupervisor, end_tasks
from mediaserver.api.admin import application
from mediaserver.api.context import Context
from mediaserver.clock import SystemClock
from mediaserver.errors import ConfigError
from mediaserver.http.problem import ApiError
from mediaserver.ipc.client import LinkClients
from mediaserver.ipc.messages import Hello, Message, Policy
from mediaserver.processes import bootstrap, placement, secret_files
from mediaserver.processes.bootstrap import EXIT_OK, Start, StartRefusedError
from mediaserver.processes.fork_server import unsafe
from mediaserver.processes.placement import StreamKey, WhipForward, Worker, Workers
from metering import key_file
from metering.book.async_book import AsyncBook
from metering.book.book import Book
from metering.book.engine import is_current
from metering.book.records import StreamRecord
from metering.errors import BookError, InvalidValueError
from metering.log_throttle import LogThrottle
from metering.units import PriceVersion, StreamPolicy

PUSH_PERIOD_S: Final = 5.0
"""rules 5: an HTTP process that control has not reached for 30 s refuses priced media."""
HANDLERS_END_S: Final = 1.0
"""Of the drain time-out, for answers under way; the last cut comes after them."""
LAST_CUT_S: Final = 2.0
"""The same, for the last cut: what is not cut now is cut after the next start."""
PLANNED_AHEAD_S: Final = 5
"""A stream without a worker's word: no plan reaches further ahead of the clock than a segment."""

_WORKERS: Final = Gauge("mediaserver_placement_workers", "Workers heard of, by state", ("state",))

_log = log.get("control")


class Control:
    """Joins the book, the store, the API, the links and the workers."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._settings = start.settings
        self._clock = SystemClock()
        self._paths = secret_files.paths(start.settings, start.data_dir)
        self._token_keys = secret_files.token_keys(self._paths.token_keys)
        self._workers = Workers(self._clock.monotonic)
        self._push = asyncio.Event()
        self._policy: Policy | None = None

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set, then cut what is pending; return the exit code.

        Raises:
            StartRefusedError: The book, a key file or Redis cannot be used.
        """
        # Without the book or the operator's key nothing can be served.
        try:
            book = await AsyncBook.open(_book_url(self._start), self._settings.asset)
            operator = key_file.read_or_make(self._paths.operator_key)
        except (BookError, InvalidValueError) as error:
            raise StartRefusedError(str(error)) from error

        # Settlement and escrow, by the settings on a chain or in the local journal; the supervisor
        # runs them in each life of the store.
        redis_url = self._settings.metering.redis_url or (
            f"unix://{self._start.run_dir / 'redis.sock'}"
        )
        settlement = Settlement(self._settings, book, operator, self._clock, self._start.run_dir)
        escrow = open_escrow(
            self._settings,
            book,
            settlement.remote,
            operator=operator,
            now_ms=self._clock.now_ms,
        )
        on_chain = open_on_chain(self._settings, book, settlement, operator)
        supervisor = StoreSupervisor(
            self._settings,
            redis_url,
            book,
            settlement=settlement,
            clock=self._clock,
            changed=self._push.set,
            newest_ticks=self._newest_ticks,
            escrow=escrow,
        )

        # What the handlers of the admin API share.
        shared = Context(
            settings=self._settings,
            clock=self._clock,
            book=book,
            store=supervisor.lend,
            apply_deposits=supervisor.apply_deposits,
            apply_later=supervisor.apply_later,
            token_keys=self._token_keys,
            admin_token=secret_files.admin_token(self._paths.admin_token),
            operator=operator,
            newest_tick=self._newest_tick,
            health=self._health,
            workers=lambda: [_worker_json(worker) for worker in self._workers.living()],
            changed=self._changed(on_chain),
            reconcile=supervisor.report,
            escrow=escrow,
            chain=on_chain,
        )

        # Serve until a stop, or until Redis is refused at its first connection.
        try:
            await self._serve(shared, supervisor, on_chain, stop)
        finally:
            await book.close()
        if supervisor.refused.is_set():
            raise StartRefusedError(f"Redis: {supervisor.refusal}")
        return EXIT_OK

    def _changed(self, on_chain: OnChain | None) -> Callable[[], None]:
        """Return what is called after a change of streams."""
        if on_chain is None:
            return self._push.set

        def changed() -> None:
            self._push.set()
            on_chain.registrar.wake()

        return changed

    async def _serve(
        self,
        shared: Context,
        supervisor: StoreSupervisor,
        on_chain: OnChain | None,
        stop: asyncio.Event,
    ) -> None:
        runner = web.AppRunner(
            self._application(shared, supervisor),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=HANDLERS_END_S,
        )
        await runner.setup()
        socket = self._start.run_dir / "control.sock"
        socket.unlink(missing_ok=True)
        await web.UnixSite(runner, str(socket)).start()
        hello = Hello("control", "control", os.getpid())
        async with LinkClients(self._start.run_dir, hello, self._replay) as links:
            keeping = asyncio.create_task(supervisor.run())
            pushing = asyncio.create_task(self._push_policies(shared, supervisor, links))
            tasks = [keeping, pushing]
            if on_chain is not None:
                tasks.append(asyncio.create_task(on_chain.registrar.run()))
            _log.info("control.process.started", socket=str(socket))
            waits = [asyncio.create_task(event.wait()) for event in (stop, supervisor.refused)]
            await asyncio.wait({*waits, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            await runner.cleanup()
            supervisor.stop()
            await asyncio.wait({keeping}, timeout=LAST_CUT_S)
            await end_tasks([*waits, *tasks])
        for task in tasks:
            if not task.cancelled() and (failure := task.exception()) is not None:
                raise failure

    def _application(self, shared: Context, supervisor: StoreSupervisor) -> web.Application:
        app = application(shared)
        forward = WhipForward(
            self._start.run_dir, self._workers, lambda slug, key: _check_key(shared, slug, key)
        )

        async def report(request: web.Request) -> web.Response:
            await self._workers.report(placement.worker_of(_object(await request.read())))
            return web.Response(status=204)

        async def health(_: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        async def ready(_: web.Request) -> web.Response:
            if not supervisor.is_ready:
                return web.json_response(
                    {"ready": False, "faults": ["Redis is away or not yet recovered"]}, status=503
                )
            return web.json_response({"ready": True})

        async def own_metrics(_: web.Request) -> web.Response:
            living = self._workers.living()
            for state in ("idle", "live", "waiting"):
                _WORKERS.labels(state).set(sum(worker.state == state for worker in living))
            return web.Response(text=metrics.own_text("control"))

        app.router.add_routes(
            [
                web.post("/{slug}/whip", forward.handle),
                web.post("/internal/workers", report),
                web.get("/internal/metrics", own_metrics),
                web.get("/healthz", health),
                web.get("/readyz", ready),
            ]
        )
        return app

    def _replay(self) -> Iterable[Message]:
        return () if self._policy is None else (self._policy,)

    async def _push_policies(
        self, shared: Context, supervisor: StoreSupervisor, links: LinkClients
    ) -> None:
        """Send HTTP processes their policy at each change and each `PUSH_PERIOD_S`."""
        throttle = LogThrottle()
        while True:
            self._push.clear()
            try:
                streams = await shared.book.run(lambda book: book.streams.all())
            except BookError as error:
                # Without one for policy_lost_s, HTTP processes refuse priced media by themselves.
                if count := throttle.failed(str(error)):
                    _log.error("control.policy.failed", reason=str(error), times=count)
            else:
                throttle.succeeded()
                self._policy = self._make_policy(streams, supervisor)
                links.send(self._policy)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PUSH_PERIOD_S):
                    await self._push.wait()

    def _make_policy(self, streams: list[StreamRecord], supervisor: StoreSupervisor) -> Policy:
        recovery, price = supervisor.recovery, self._settings.price
        oldest = self._clock.now_ms() // 1000 - self._settings.metering.watched_hours * 3600
        return Policy(
            streams=tuple(
                StreamPolicy(
                    stream.id,
                    stream.slug,
                    stream.title,
                    _in_force(stream.prices, oldest),
                    stream.is_enabled,
                )
                for stream in streams
            ),
            token_keys=self._token_keys,
            asset=self._settings.asset,
            store_epoch=recovery.epoch if recovery else "",
            store_run_id=supervisor.run_id,
            top_up_url=price.top_up_url,
            is_top_up_open=int(price.demo_top_up_planck) > 0,
            replay_from_ms=recovery.replay_from_ms if recovery else 0,
        )

    async def _newest_tick(self, stream: UUID) -> int:
        """Return the newest second of a stream that may be planned, by its worker and its file."""
        now_tick = self._clock.now_ms() // 1000
        worker = self._workers.of(stream)
        planned = worker.newest_planned_tick if worker is not None else 0
        path = self._start.data_dir / "shows" / f"{stream}.json"
        stored = await asyncio.to_thread(_stored_tick, path)
        return max(planned, stored, now_tick + PLANNED_AHEAD_S)

    async def _newest_ticks(self) -> dict[UUID, int]:
        """Return the newest second that each stream planned, as workers and files say."""
        folder = self._start.data_dir / "shows"
        newest = await asyncio.to_thread(_stored_ticks, folder)
        for worker in self._workers.living():
            if worker.stream is not None:
                planned = worker.newest_planned_tick
                newest[worker.stream] = max(planned, newest.get(worker.stream, 0))
        return newest

    def _health(self, stream: UUID) -> dict[str, Any]:
        worker = self._workers.of(stream)
        if worker is None:
            return {"state": "offline", "show": None, "facts": {}, "advice": []}
        return {
            "state": worker.state,
            "show": worker.show or None,
            "facts": worker.facts,
            "advice": list(worker.advice),
        }


async def _check_key(shared: Context, slug: str, key: str) -> StreamKey:
    record = await shared.book.run(lambda book: book.streams.get(slug))
    if await shared.book.run(lambda book: book.streams.by_key(slug, key)) is None:
        raise ApiError(
            401,
            "Not authorised",
            "this is not the stream's key; make a new one with `vilokanam streams rotate-key`",
            {"WWW-Authenticate": 'Bearer realm="vilokanam"'},
        )
    return StreamKey(record.id, record.slug, record.key_sha256)


def _in_force(prices: tuple[PriceVersion, ...], oldest: int) -> tuple[PriceVersion, ...]:
    """Return the versions that a tick from `oldest` on may have."""
    first = max((i for i, price in enumerate(prices) if price.from_tick <= oldest), default=0)
    return prices[first:]


def _stored_ticks(folder: Path) -> dict[UUID, int]:
    ticks: dict[UUID, int] = {}
    for path in folder.glob("*.json"):
        with contextlib.suppress(ValueError):  # a file of no stream
            ticks[UUID(path.stem)] = _stored_tick(path)
    return ticks


def _stored_tick(path: Path) -> int:
    try:
        body = json.loads(path.read_bytes())
        return -(-int(body["planned_end_ms"]) // 1000)
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "Not JSON", "the body is not a JSON object") from error
    if not isinstance(body, dict):
        raise ApiError(400, "Not JSON", "the body is not a JSON object")
    return body


def _worker_json(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "pid": worker.pid,
        "stream": worker.slug or None,
        "state": worker.state,
        "show": worker.show or None,
    }


def _migrate_apart(start: Start) -> None:
    """Bring the book's schema up in a fork that ends: what it imports and leaves is not kept.

    Its failure is left to the next to open the book, which reports it.
    """
    url = _book_url(start)
    if is_current(url) or unsafe():
        return
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        Book.open(url, start.settings.asset).close()
    finally:
        os._exit(EXIT_OK)


def _book_url(start: Start) -> str:
    return f"sqlite:///{start.data_dir / 'book.sqlite3'}"


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m mediaserver.processes.control``."""
    arguments = bootstrap.parser("Control: book, API, placement.").parse_args(argv)
    try:
        start = bootstrap.begin(arguments)
        _migrate_apart(start)
        return bootstrap.run("control", start.settings, lambda stop: Control(start).run(stop))
    except (ConfigError, StartRefusedError) as error:
        return bootstrap.refuse(error)


if __name__ == "__main__":
    sys.exit(main())
