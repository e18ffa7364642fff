"""What every process of the server does before its own work: arguments, log, signals, loop.

A process ends with `EXIT_OK` after an orderly stop, with `EXIT_CONFIG` when an operator must act
first (the server then stops as well and does not restart it), and with anything else when it
failed and may be restarted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import uvloop

from mediaserver import log
from mediaserver.errors import ConfigError
from mediaserver.settings.load import ENVIRONMENT_PREFIX, load
from mediaserver.settings.records import Settings

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 78
"""sysexits.h, EX_CONFIG."""
EXIT_UNSAFE: Final = 69
"""The fork server must not fork here. sysexits.h, EX_UNAVAILABLE."""

RELOAD_SIGNAL: Final = signal.SIGUSR1
"""From the server to a child: read the settings again."""

_loaded: dict[object, Settings] = {}
"""The settings by what they were read from; one entry at most."""


class StartRefusedError(Exception):
    """This process cannot work until an operator acts; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a process is started with.

    Attributes:
        settings: The whole tree.
        config: The file it was read from, None for the defaults.
        data_dir: Directory of everything that is kept, absolute.
        arguments: What else is on the command line.
    """

    settings: Settings
    config: Path | None
    data_dir: Path
    arguments: argparse.Namespace

    @property
    def run_dir(self) -> Path:
        """Return the directory of the sockets."""
        return self.data_dir / "run"


def parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows the two arguments which every process has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--config", type=Path, default=None, help="configuration file")
    made.add_argument("--data-dir", type=Path, default=None, help="instead of server.data_dir")
    return made


def begin(arguments: argparse.Namespace) -> Start:
    """Return the settings and directories that the arguments name.

    Raises:
        ConfigError: With every fault of the configuration.
    """
    settings = _load(arguments.config)
    data_dir = (arguments.data_dir or Path(settings.server.data_dir)).absolute()
    server = dataclasses.replace(settings.server, data_dir=str(data_dir))
    settings = dataclasses.replace(settings, server=server)
    return Start(settings, arguments.config, data_dir, arguments)


def _load(config: Path | None) -> Settings:
    """Return the settings: those read before, unless what they were read from has changed.

    So a forked process takes over the fork server's: reading them writes to shared pages.
    """
    names = sorted(name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX))
    try:
        status = None if config is None else config.stat()
    except OSError:
        # `load` says what is wrong with it.
        return load(config, os.environ)
    if any(name.endswith("_FILE") for name in names):
        # What such a file holds may have changed.
        return load(config, os.environ)
    file = status and (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    key = (config, file, tuple((name, os.environ[name]) for name in names))
    if key not in _loaded:
        settings = load(config, os.environ)
        _loaded.clear()
        _loaded[key] = settings
    return _loaded[key]


def run(
    process: str,
    settings: Settings,
    main: Callable[[asyncio.Event], Coroutine[Any, Any, int | None]],
    *,
    on_hangup: Callable[[asyncio.Event], None] | None = None,
    on_reload: Callable[[], None] | None = None,
) -> int:
    """Run `main` on uvloop until it returns; its event is set by SIGTERM, SIGINT or SIGHUP.

    A terminal that closes and a supervisor that reloads send SIGHUP: unhandled, it ends the process
    on the spot, without drain or last cut.

    Args:
        on_hangup: Decides what SIGHUP does, in place of setting the event.
        on_reload: Called at `RELOAD_SIGNAL`, which the server sends to its children; without it
            that signal does nothing, as the server ignores it and its children with it.

    Returns:
        The exit code: what `main` returned, 0 for None.

    Raises:
        StartRefusedError: As `main` raised it; everything else that it raises is logged.
    """
    _open_standard_streams()
    level = settings.log.level
    log.configure(cast(Literal["json", "console"], settings.log.format), level, process)
    logger = log.get("process")

    async def body() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup: who started us wants a closing terminal to end nothing
            if number is signal.SIGHUP and on_hangup is not None:
                loop.add_signal_handler(number, on_hangup, stop)
            else:
                loop.add_signal_handler(number, stop.set)
        if on_reload is not None:
            loop.add_signal_handler(RELOAD_SIGNAL, on_reload)
        return await main(stop) or EXIT_OK

    try:
        return uvloop.run(body())
    except StartRefusedError:
        raise
    except Exception:
        logger.exception("process.run.failed")
        return EXIT_FAILED


def _open_standard_streams() -> None:
    """Open on nothing each standard stream that we were started without.

    Else the next file or connection gets its number, and uvloop aborts when it closes that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free: this one


def reloader(start: Start, take: Callable[[Settings], None] | None = None) -> Callable[[], None]:
    """Return what a child does at `RELOAD_SIGNAL`: its log level, and `take` the new settings.

    The server has found them good; if they changed once more and are not, nothing happens here.
    """

    def reload() -> None:
        with contextlib.suppress(ConfigError):
            settings = begin(start.arguments).settings
            log.set_level(settings.log.level)
            if take is not None:
                take(settings)

    return reload


def refuse(error: ConfigError | StartRefusedError) -> int:
    """Tell on standard error why we do not start, a line for each fault; return `EXIT_CONFIG`."""
    for fault in error.faults if isinstance(error, ConfigError) else (str(error),):
        sys.stderr.write(f"vilokanam: {fault}\n")
    return EXIT_CONFIG
