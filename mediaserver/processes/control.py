"""Control: one process; the only writer of the book, the admin API, publishers' placement.

It serves ``run/control.sock`` and sends every HTTP process, over its link, what it needs to decide
alone. Workers and viewers go on while it restarts; it learns of the workers again from their
reports, and of all else from the book.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final
from uuid import UUID

from aiohttp import web
from prometheus_client import Gauge

from mediaserver import log, metrics
from mediaserver.accounting.book_health import BookHealth
from mediaserver.accounting.escrow_service import open_escrow
from mediaserver.accounting.onchain_service import OnChain, open_on_chain
from mediaserver.accounting.settlement_service import Settlement
from mediaserver.accounting.store_supervisor import StoreSupervisor
from mediaserver.accounting.tasks import end_tasks
from mediaserver.api.admin import application
from mediaserver.api.context import Context
from mediaserver.api.streams.decisions import decisions_of
from mediaserver.errors import ConfigError
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.ipc.client import LinkClients
from mediaserver.ipc.messages import Hello, Message, Policy
from mediaserver.listening import ListeningClock
from mediaserver.payments.refunding import keep_asking
from mediaserver.people.countries import Countries
from mediaserver.people.service import People
from mediaserver.processes import bootstrap, library_pages, operator_key, secret_files
from mediaserver.processes.accepted_key import require_ours
from mediaserver.processes.audience import LiveAudience
from mediaserver.processes.auto_payer import AutoPayer
from mediaserver.processes.book_file import book_url, migrate_apart, tell_refused_names
from mediaserver.processes.bootstrap import EXIT_OK, Start, StartRefusedError
from mediaserver.processes.data_dir import identity, server_name
from mediaserver.processes.guest_sweep import GuestSweep
from mediaserver.processes.letter_writer import LetterWriter
from mediaserver.processes.open_payments import open_payments
from mediaserver.processes.placement import WhipForward, Worker, Workers, waiting_line
from mediaserver.processes.planned_ticks import PlannedTicks
from mediaserver.processes.policy_changes import PolicyChanges
from mediaserver.processes.policy_maker import PolicyMaker
from mediaserver.processes.publisher_key import check_key
from mediaserver.processes.server_clock import open_clock
from mediaserver.processes.worker_reports import WorkerReports
from mediaserver.webhooks.service import Webhooks
from metering.book.async_book import AsyncBook
from metering.errors import BookError, InvalidValueError
from metering.log_throttle import LogThrottle
from metering.store.owned_store import Owner

PUSH_PERIOD_S: Final = 5.0
"""rules 5: an HTTP process that control has not reached for 30 s refuses priced media."""
HANDLERS_END_S: Final = 1.0
"""Of the drain time-out, for answers under way; the last cut comes after them."""
SWITCH_S: Final = 0.0005
"""A call of the database gives the interpreter up and waits so long for it at least, where another
thread computes: at Python's 5 ms a request of ten calls waited for 50 ms."""
LAST_CUT_S: Final = 2.0
"""The same, for the last cut: what is not cut now is cut after the next start."""

_WORKERS: Final = Gauge("mediaserver_placement_workers", "Workers heard of, by state", ("state",))

_log = log.get("control")


class Control:
    """Joins the book, the store, the API, the links and the workers."""

    def __init__(self, start: Start, notify_fd: int | None = None) -> None:
        """Prepare.

        Args:
            notify_fd: A pipe to the server: how many publishers wait for a worker. None: nobody.
        """
        self._start = start
        self._settings = start.settings
        self._clock = open_clock(start.run_dir)
        self._paths = secret_files.paths(start.settings, start.data_dir)
        self._token_keys = secret_files.token_keys(self._paths.token_keys)
        self._admin_token = secret_files.admin_token(self._paths.admin_token)
        self._listening = ListeningClock(self._clock)
        self._workers = Workers(self._listening.monotonic, waiting_line(notify_fd))
        self._planned = PlannedTicks(start.data_dir / "shows", self._workers, self._clock)
        self._audience = LiveAudience(start.run_dir, self._clock.monotonic)
        self._countries = Countries(start.settings.watch)
        self._changes = PolicyChanges()
        self._maker: PolicyMaker | None = None
        self._book_health: BookHealth | None = None

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set, then cut what is pending; return the exit code.

        Raises:
            StartRefusedError: The book, a key file or Redis cannot be used.
        """
        # Without the book or the operator's key nothing can be served.
        try:
            book = await AsyncBook.open(book_url(self._start), self._settings.asset)
            people = People(book)
            await people.open()
            payments = await open_payments(book, self._settings)
            webhooks = Webhooks(book, self._settings.webhooks, self._clock.now_ms)
            await webhooks.open()
            decisions = decisions_of(self._settings, self._clock)
            book_id = await book.run(lambda book: book.recoveries.book_id())
            data_dir = self._start.data_dir
            operator = await asyncio.to_thread(operator_key.of_server, self._settings, data_dir)
            path, now_ms = self._paths.operator_key, self._clock.now_ms()
            await book.run(lambda book: require_ours(book, operator, path, now_ms))
            await book.run(tell_refused_names)
        except (BookError, InvalidValueError) as error:
            raise StartRefusedError(str(error)) from error

        # Settlement and escrow, by the settings on a chain or in the local journal; the supervisor
        # runs them in each life of the store.
        redis_url = self._settings.metering.redis_url or (
            f"unix://{self._start.run_dir / 'redis.sock'}"
        )
        settlement = Settlement(self._settings, book, operator, self._clock, self._start.run_dir)
        escrow = open_escrow(
            self._settings, book, settlement.remote, operator=operator, now_ms=self._clock.now_ms
        )
        on_chain = open_on_chain(self._settings, book, settlement, operator)
        supervisor = StoreSupervisor(
            self._settings,
            redis_url,
            book,
            owner=Owner(book_id, server_name(self._start.data_dir), identity(self._start.data_dir)),
            settlement=settlement,
            clock=self._clock,
            changed=self._changes.ask,
            newest_ticks=self._planned.of_all,
            escrow=escrow,
        )

        # What the handlers of the admin API share.
        shared = Context(
            settings=self._settings,
            clock=self._clock,
            book=book,
            people=people,
            payments=payments,
            webhooks=webhooks,
            decisions=decisions,
            countries=self._countries,
            store=supervisor.lend,
            apply_deposits=supervisor.apply_deposits,
            apply_later=supervisor.apply_later,
            take_out=supervisor.take_out,
            sell_pass=supervisor.sell_pass,
            token_keys=self._token_keys,
            admin_token=self._admin_token,
            operator=operator,
            newest_tick=self._planned.of_stream,
            health=self._health,
            workers=lambda: [_worker_json(worker) for worker in self._workers.living()],
            changed=self._changed(on_chain),
            sent=self._changes.sent,
            audience=self._audience.count,
            reconcile=supervisor.report,
            escrow=escrow,
            chain=on_chain,
        )

        # Serve until a stop, or until Redis is refused at its first connection.
        try:
            await self._serve(shared, supervisor, on_chain, stop)
        finally:
            await payments.close()
            await book.close()
        if supervisor.refused.is_set():
            raise StartRefusedError(f"Redis: {supervisor.refusal}")
        return EXIT_OK

    def _changed(self, on_chain: OnChain | None) -> Callable[[], None]:
        """Return what is called after a change of streams."""
        if on_chain is None:
            return self._changes.ask

        def changed() -> None:
            self._changes.ask()
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
        async with (
            LinkClients(self._start.run_dir, hello, self._replay) as links,
            self._countries,
        ):
            keeping = asyncio.create_task(supervisor.run())
            self._maker = PolicyMaker(shared, partial(self._rest, supervisor))
            pushing = asyncio.create_task(self._push_policies(self._maker, links))
            self._book_health = BookHealth(shared.book, self._start.data_dir, self._changes.ask)
            asking = keep_asking(shared.payments, self._clock.now_ms, supervisor.apply_later)
            letters = LetterWriter(shared).run()
            paying = AutoPayer(shared, supervisor.apply_later).run()
            others = (self._listening.listen(), self._book_health.run(), asking, letters, paying)
            sweeping = GuestSweep(shared).run()
            telling = shared.webhooks.run()
            tasks = [keeping, pushing, *map(asyncio.create_task, (*others, telling, sweeping))]
            if on_chain is not None:
                tasks.append(asyncio.create_task(on_chain.registrar.run()))
            _log.info("control.process.started", socket=str(socket))
            library_pages.release_later()
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
        forward = WhipForward(self._start.run_dir, self._workers, partial(check_key, shared))
        reports = WorkerReports(
            self._workers,
            shared.book,
            shared.people,
            shared.webhooks,
            self._oldest_tick,
            self._listening.monotonic,
            self._known,
        )

        async def health(_: web.Request) -> web.Response:
            return web.Response(text="ok\n")

        async def ready(_: web.Request) -> web.Response:
            if faults := self._faults(supervisor):
                return web.json_response({"ready": False, "faults": faults}, status=503)
            return web.json_response({"ready": True})

        async def own_metrics(_: web.Request) -> web.Response:
            living = self._workers.living()
            for state in ("idle", "live", "waiting"):
                _WORKERS.labels(state).set(sum(worker.state == state for worker in living))
            await self._audience.measure()
            return web.Response(text=metrics.own_text("control"))

        app.router.add_routes(
            [
                web.post("/{slug}/whip", forward.handle),
                web.post("/internal/workers", reports.handle),
                web.get("/internal/metrics", own_metrics),
                web.get("/healthz", health),
                web.get("/readyz", ready),
            ]
        )
        return app

    def _replay(self) -> Iterable[Message]:
        known = self._known()
        return () if known is None else (known.whole(),)

    def _known(self) -> KnownPolicy | None:
        return None if self._maker is None else self._maker.known

    async def _push_policies(self, maker: PolicyMaker, links: LinkClients) -> None:
        """Tell HTTP processes what changed, at each change and each `PUSH_PERIOD_S`."""
        throttle = LogThrottle()
        while True:
            number = self._changes.begin()
            try:
                policy = await maker.make()
            except BookError as error:
                # Without one for policy_lost_s, HTTP processes refuse priced media by themselves.
                if count := throttle.failed(str(error)):
                    _log.error("control.policy.failed", reason=str(error), times=count)
            else:
                # Nothing is awaited since it was made: a link made meanwhile receives it whole.
                links.send(policy)
                throttle.succeeded()
                self._countries.want(is_wanted=maker.has_countries)
                await self._changes.finish(number)
            await self._changes.next(PUSH_PERIOD_S)

    def _rest(self, supervisor: StoreSupervisor) -> Policy:
        """Return what HTTP processes must know that is neither of streams nor in the book."""
        recovery, price = supervisor.recovery, self._settings.price
        return Policy(
            streams=(),
            token_keys=self._token_keys,
            asset=self._settings.asset,
            store_epoch=supervisor.epoch,
            store_run_id=supervisor.run_id,
            top_up_url=price.top_up_url,
            is_top_up_open=int(price.demo_top_up_planck) > 0,
            replay_from_ms=recovery.replay_from_ms if recovery else 0,
            faults=tuple(self._faults(supervisor)),
            admin_sha256=hashlib.sha256(self._admin_token.encode()).digest(),
        )

    def _faults(self, supervisor: StoreSupervisor) -> list[str]:
        """Return what keeps control from its work, in words."""
        faults = [supervisor.wait.text, self._countries.wanted_fault]
        if self._book_health is not None:
            faults.append(self._book_health.fault)
        return [fault for fault in faults if fault]

    def _oldest_tick(self) -> int:
        """Return the oldest second that may still be claimed."""
        return self._clock.now_ms() // 1000 - self._settings.metering.watched_hours * 3600

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


def _worker_json(worker: Worker) -> dict[str, Any]:
    return {
        "name": worker.name,
        "pid": worker.pid,
        "stream": worker.slug or None,
        "state": worker.state,
        "show": worker.show or None,
    }


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m mediaserver.processes.control``."""
    parser = bootstrap.parser("Control: book, API, placement.")
    parser.add_argument("--notify-fd", type=int, default=None)
    try:
        start = bootstrap.begin(parser.parse_args(argv))
        migrate_apart(start)
        sys.setswitchinterval(SWITCH_S)
        return bootstrap.run(
            "control",
            start.settings,
            Control(start, start.arguments.notify_fd).run,
            on_reload=bootstrap.reloader(start),
        )
    except (ConfigError, StartRefusedError) as error:
        return bootstrap.refuse(error)


if __name__ == "__main__":
    sys.exit(main())
