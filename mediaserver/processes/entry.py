"""How every child process begins: arguments, settings, logs, signals, the event loop."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from mediaserver import log, settings
from mediaserver.errors import ConfigError


def parser() -> argparse.ArgumentParser:
    """Return a parser with what every process takes: ``--config FILE --data-dir DIR``."""
    made = argparse.ArgumentParser()
    made.add_argument("--config", type=Path, default=None)
    made.add_argument("--data-dir", default=None)
    return made


def start(
    arguments: argparse.Namespace,
    name: str,
    run: Callable[[settings.Settings, asyncio.Event], Awaitable[None]],
) -> None:
    """Run a process until it ends by itself or SIGTERM sets the event that `run` is given.

    Args:
        arguments: What `parser` parsed.
        name: Bound to every log line.
        run: The process.

    Raises:
        SystemExit: When the configuration cannot be used; it names every fault.
    """
    try:
        tree = settings.load(arguments.config, os.environ)
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    if arguments.data_dir is not None:
        server = dataclasses.replace(tree.server, data_dir=arguments.data_dir)
        tree = dataclasses.replace(tree, server=server)
    log.configure(tree.log.format, tree.log.level, name)

    async def until_stopped() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run(tree, stop)

    uvloop.run(until_stopped())
