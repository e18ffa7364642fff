"""The parent: starts all other processes, restarts whatever dies, ends them in order.

It holds no media, no money and no connection of a client.

Children are forked from one process that has imported the codecs (fork_server.py), or spawned where
that is not safe. Order of the start: the fork server, embedded Redis (unless ``metering.redis_url``
names one), the settler (only with a chain), control, the HTTP processes, spare workers. Order of
the end, within ``server.drain_timeout_s``: workers, so that publishers hear of it and windows end
properly; HTTP, so that responses under way are finished; control, so that what is pending is cut
and booked, and the settler; Redis last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

from mediaserver import log
from mediaserver.errors import ConfigError
from mediaserver.ingest import farewell
from mediaserver.processes import bootstrap, children, descriptors, reload, secret_files
from mediaserver.processes.announce import announce
from mediaserver.processes.bootstrap import (
    EXIT_CONFIG,
    EXIT_OK,
    EXIT_UNSAFE,
    Start,
    StartRefusedError,
)
from mediaserver.processes.children import Child
from mediaserver.processes.data_dir import DataDir
from mediaserver.processes.fork_server import NAME as FORK_SERVER
from mediaserver.processes.listen_check import check_bind_addresses
from mediaserver.processes.listeners import Listeners
from mediaserver.processes.server_clock import keeping as keeping_clock
from mediaserver.processes.service_manager import ServiceManager
from mediaserver.processes.starter import Starter
from metering.errors import MeteringError, StoreRefusedError, StoreUnavailableError
from metering.store.embedded import EmbeddedRedis

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 5.0
"""A process that cannot start is tried again twelve times a minute: seen soon, and cheap."""
STEADY_S: Final = 10.0
"""One that lived this long died of something new: its back-off begins anew."""
_DRAIN_UNTIL: Final = (0.4, 0.7, 0.9)
"""Of the drain time-out, until when workers, HTTP and control end; what is left is Redis's."""
_BUSY: Final = b"busy\n"
_IMPORTED: Final = ("http", "worker")
"""By the fork server, for all its forks; the settler alone loads the chain's library."""

_log = log.get("server")


class Server:
    """All processes of one server.

    Attributes:
        starter: Starts what it keeps.
    """

    def __init__(self, start: Start, module_prefix: str = "mediaserver.processes") -> None:
        """Prepare; nothing starts before `run`.

        Args:
            module_prefix: Package of the modules ``control``, ``settler``, ``http`` and ``worker``.
        """
        self._settings = start.settings
        self._start = start
        self._manager = ServiceManager(os.environ)
        self._listeners = Listeners(os.environ)
        self._has_terminal = reload.has_terminal()
        self._secrets: tuple[bytes, ...] = ()
        self._prefix = module_prefix
        modules = tuple(f"{module_prefix}.{name}" for name in _IMPORTED)
        self.starter = Starter(modules, self._options())
        self._fork_server: Child | None = None
        self._stop = asyncio.Event()
        self._exit_code = EXIT_OK
        self._backoffs: dict[str, float] = {}
        self._kept: dict[str, Child] = {}
        self._workers: dict[str, Child | None] = {}
        self._worker_count = 0
        self._waiting = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until `stop` is set or a process says that an operator must act.

        Returns:
            The exit code.

        Raises:
            StartRefusedError: The data directory, the port or Redis cannot be used.
        """
        settings = self._settings.server
        self._stop = stop
        descriptors.raise_limit()
        with DataDir(self._start.data_dir), contextlib.closing(self._listeners):
            secret_files.make_missing(self._settings, self._start.data_dir)
            self._secrets = secret_files.contents(self._settings, self._start.data_dir)
            self._listeners.open(settings.host, settings.port, self._manager)
            check_bind_addresses(self._settings.ingest.bind_addresses)
            if self.starter.can_fork:
                # First: its imports take longest, and Redis comes up beside them.
                self._spawn(self._keep_fork_server())
            async with keeping_clock(self._start.run_dir), self._redis():
                try:
                    if self._settings.chain.backend == "substrate":
                        self._keep("settler")
                    self._keep_control()
                    for index in range(settings.http_processes):
                        extra = ("--index", str(index), *self._listeners.words)
                        self._keep(f"http-{index}", *extra, pass_fds=self._listeners.fds)
                    self._fill_spares()
                    _log.info(
                        "server.processes.started",
                        port=settings.port,
                        data_dir=str(self._start.data_dir),
                    )
                    self._spawn(self._manager.follow(settings.host, settings.port, stop))
                    self._spawn(self._manager.keep_watchdog(stop))
                    self._spawn(announce(self._settings, stop))
                    await stop.wait()
                finally:
                    self._manager.tell("STOPPING=1", "STATUS=ending in order")
                    await self._drain()
        _log.info("server.processes.ended", exit_code=self._exit_code)
        return self._exit_code

    def hang_up(self, stop: asyncio.Event) -> None:
        """Do what SIGHUP asks for: end in order when our terminal closed, else read the settings.

        What may change is taken over; for any other change the server ends in order, to be started
        again with it. What is wrong is logged, and nothing changes.
        """
        if self._has_terminal and not reload.has_terminal():
            stop.set()
            return
        self._manager.reloading()
        try:
            start = bootstrap.begin(self._start.arguments)
            reload.check_files(start.settings)
            secrets = secret_files.contents(start.settings, start.data_dir)
            self._listeners.check(start.settings.server.host, start.settings.server.port)
        except (ConfigError, StartRefusedError) as error:
            faults = error.faults if isinstance(error, ConfigError) else (str(error),)
            _log.error("server.reload.refused", faults=list(faults))
            self._manager.tell("READY=1")
            return
        keys = reload.changed_keys(self._settings, start.settings)
        others = [key for key in keys if key not in reload.RELOADABLE]
        if others:
            _log.warning("server.reload.restarts", keys=others)
            stop.set()
            return
        is_control_old = secrets != self._secrets or "price.top_up_url" in keys
        self._settings, self._start, self._secrets = start.settings, start, secrets
        log.set_level(start.settings.log.level)
        for child in (*self._kept.values(), *self._workers.values()):
            if child is not None:
                child.reload()
        control = self._kept.get("control")
        if is_control_old and control is not None:
            # It passes the keys on to all others; viewers and publishers go on without it.
            control.is_replaced = True
            control.terminate()
        _log.info("server.reload.done", keys=list(keys), are_keys_new=is_control_old)
        self._manager.tell("READY=1")

    @contextlib.asynccontextmanager
    async def _redis(self) -> AsyncIterator[None]:
        metering = self._settings.metering
        if metering.redis_url:
            yield
            return
        redis = EmbeddedRedis(
            self._start.data_dir / "redis",
            self._start.run_dir / "redis.sock",
            metering.fsync,
            # Not SIGKILL: a Redis that loses its server still saves its data.
            before_exec=children.die_with(os.getpid(), signal.SIGTERM),
        )
        try:
            await redis.start()
        except MeteringError as error:
            raise StartRefusedError(f"embedded Redis: {error}") from error
        watch = asyncio.create_task(self._keep_redis(redis))
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await redis.stop()

    async def _keep_redis(self, redis: EmbeddedRedis) -> None:
        """Start Redis again whenever it ends; control sees another run id and recovers it."""
        wait_s = BACKOFF_FIRST_S
        while True:
            code = await redis.wait()
            _log.error("server.redis.ended", exit_code=code)
            await asyncio.sleep(wait_s)
            try:
                await redis.start()
                wait_s = BACKOFF_FIRST_S
            except StoreRefusedError as error:
                _log.error("server.redis.refused", reason=str(error))
                self._exit_code = EXIT_CONFIG
                self._stop.set()
                return
            except StoreUnavailableError as error:
                _log.warning("server.redis.unavailable", reason=str(error))
                wait_s = min(wait_s * 2, BACKOFF_MAX_S)

    async def _keep_fork_server(self) -> None:
        """Start it again whenever it ends; the children it forked are ours and go on."""
        while not self._stop.is_set():
            child = await self.starter.start_fork_server()
            self._fork_server = child
            if self._stop.is_set():
                child.kill()
            code = await child.wait()
            if self._stop.is_set() or code == EXIT_UNSAFE:
                return
            self._report(child, code)
            await self._back_off(child, FORK_SERVER)

    def _keep_control(self) -> None:
        """Keep control, which says on a pipe how many publishers wait for a worker."""
        read_fd, write_fd = os.pipe()
        os.set_blocking(write_fd, False)
        asyncio.get_running_loop().add_reader(read_fd, self._hear_waiting, read_fd)
        self._keep("control", "--notify-fd", str(write_fd), pass_fds=(write_fd,))

    def _hear_waiting(self, read_fd: int) -> None:
        # What control wrote last is what counts; a line that is not whole yet comes next.
        lines = os.read(read_fd, 4096).split(b"\n")[:-1]
        if lines and lines[-1].isdigit():
            self._waiting = int(lines[-1])
            self._fill_spares()

    def _keep(self, name: str, *extra: str, pass_fds: tuple[int, ...] = ()) -> None:
        """Start a process and start it again whenever it ends, until the server stops."""
        self._spawn(self._keep_running(name, extra, pass_fds))

    async def _keep_running(
        self, name: str, extra: tuple[str, ...], pass_fds: tuple[int, ...]
    ) -> None:
        module = name.partition("-")[0]
        while not self._stop.is_set():
            child = await self.starter.start(name, self._command(module, *extra), pass_fds)
            self._kept[name] = child
            if self._stop.is_set():
                child.kill()
            code = await child.wait()
            if self._stop.is_set():
                return
            if child.is_replaced:
                continue
            self._report(child, code)
            if name == "control":
                self._waiting = 0  # for the one that ended
            await self._back_off(child, name)

    def _fill_spares(self) -> None:
        """Start workers until enough are warm, or the machine has as many as it may.

        Enough is one for each publisher that waits: twenty that come at once are served at once.
        """
        settings = self._settings.server
        wanted = max(settings.worker_spares, self._waiting)
        spares = sum(worker is None or not worker.is_busy for worker in self._workers.values())
        room = settings.workers_max - len(self._workers)
        for _ in range(min(wanted - spares, room)):
            read_fd, write_fd = os.pipe()
            self._worker_count += 1
            name = f"w{self._worker_count}"
            # Its place is taken before it runs, so that two reasons to start one start one.
            self._workers[name] = None
            self._spawn(self._run_worker(name, read_fd, write_fd))

    async def _run_worker(self, name: str, read_fd: int, write_fd: int) -> None:
        command = self._command("worker", "--name", name, "--notify-fd", str(write_fd))
        try:
            child = await self.starter.start(name, command, pass_fds=(write_fd,))
        finally:
            os.close(write_fd)
        self._workers[name] = child
        if self._stop.is_set():
            child.kill()
        loop = asyncio.get_running_loop()
        loop.add_reader(read_fd, self._hear, child, read_fd)
        try:
            code = await child.wait()
        finally:
            loop.remove_reader(read_fd)
            os.close(read_fd)
        del self._workers[name]
        # A killed worker leaves its socket; each one left is tried at every scrape of the metrics.
        (self._start.run_dir / f"worker-{name}.sock").unlink(missing_ok=True)
        farewell.leave(self._start.run_dir, name)
        if self._stop.is_set():
            return
        # At once and by us: nothing else may be started in its place.
        self._spawn(farewell.say(self._start.run_dir))
        if code != EXIT_OK:
            self._report(child, code)
            await self._back_off(child, "worker")
        self._fill_spares()

    def _hear(self, worker: Child, read_fd: int) -> None:
        words = os.read(read_fd, 64)
        if _BUSY in words and not worker.is_busy:
            worker.is_busy = True
            self._fill_spares()
        elif not words:
            asyncio.get_running_loop().remove_reader(read_fd)

    def _report(self, child: Child, code: int) -> None:
        _log.warning("server.process.ended", child=child.name, pid=child.pid, exit_code=code)
        if code == EXIT_CONFIG:
            # It has logged why; starting it again would only fail again.
            self._exit_code = EXIT_CONFIG
            self._stop.set()

    async def _back_off(self, child: Child, name: str) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - child.started_at_s >= STEADY_S:
            self._backoffs.pop(name, None)
        wait_s = self._backoffs.get(name, BACKOFF_FIRST_S)
        self._backoffs[name] = min(wait_s * 2, BACKOFF_MAX_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stop.wait()

    async def _drain(self) -> None:
        self._stop.set()
        total_s = self._settings.server.drain_timeout_s
        last = ("control", "settler")
        http = [child for name, child in self._kept.items() if name not in last]
        control = [child for name, child in self._kept.items() if name in last]
        workers = [child for child in self._workers.values() if child is not None]
        if self._fork_server is not None:
            self._fork_server.kill()
        stages = (workers, http, control)
        began_s = asyncio.get_running_loop().time()
        for members, until in zip(stages, _DRAIN_UNTIL, strict=True):
            if members is http:
                self._listeners.close()
            left_s = began_s + total_s * until - asyncio.get_running_loop().time()
            late = await children.end_all(members, left_s)
            if late:
                _log.warning("server.processes.killed", children=late, after_s=total_s * until)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _command(self, module: str, *extra: str) -> tuple[str, ...]:
        return (f"{self._prefix}.{module}", *self._options(), *extra)

    def _options(self) -> tuple[str, ...]:
        config = ("--config", str(self._start.config)) if self._start.config else ()
        return (*config, "--data-dir", str(self._start.data_dir))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def serve(start: Start) -> int:
    """Run a server in this process until a signal stops it; return its exit code."""
    os.umask(0o077)
    # Inherited by every child until it can do better than end by it.
    signal.signal(bootstrap.RELOAD_SIGNAL, signal.SIG_IGN)
    server = Server(start)
    server.starter.fork_here(start)
    return bootstrap.run("server", start.settings, server.run, on_hangup=server.hang_up)


def main(argv: list[str] | None = None) -> int:
    """Run ``python -m mediaserver.processes.server``."""
    arguments = bootstrap.parser("The server: parent of all processes.").parse_args(argv)
    try:
        return serve(bootstrap.begin(arguments))
    except (ConfigError, StartRefusedError) as error:
        return bootstrap.refuse(error)


if __name__ == "__main__":
    sys.exit(main())
