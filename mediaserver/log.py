"""Structured logs. Names of events and keys: docs/developer/logs.md, "Log events"."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Final

import structlog

Logger = structlog.stdlib.BoundLogger

LIBRARY_LINE_S: Final = 1.0
"""A library's line that repeats is written once in this time."""
_LIBRARY_LINES_KEPT: Final = 256
"""Different lines remembered; a library has few texts."""
_PEER_FAULTS: Final = frozenset({"aiohttp.http_exceptions", "aiohttp.client_exceptions"})
"""Modules of exceptions by which aiohttp says that a peer sent what is no HTTP."""


def configure(log_format: str, level: str, process: str) -> None:
    """Send every log line of this process to standard error.

    Args:
        log_format: ``json`` for machines, ``console`` for people.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        process: Name bound to every line, such as ``http-0``.
    """
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    number = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
    # Libraries that log by themselves speak only when something is wrong.
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)


class _Libraries(logging.Handler):
    """What libraries log by themselves, as lines like ours.

    Left out is what a peer did: a broken request would be a traceback each time, and its text
    quotes the request, tokens and keys included. The same line is passed on once a second, with
    how many it counts: who finds a request that fails must not fill the disk with it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._passed: dict[tuple[str, str], tuple[float, int]] = {}

    def _times(self, record: logging.LogRecord) -> int:
        """Return how many records the line of this one counts, 0 when it is to be left out."""
        key, now_s = (record.name, str(record.msg)), self._monotonic()
        passed_s, held_back = self._passed.pop(key, (float("-inf"), 0))
        is_passed = now_s - passed_s >= LIBRARY_LINE_S
        self._passed[key] = (now_s, 0) if is_passed else (passed_s, held_back + 1)
        while len(self._passed) > _LIBRARY_LINES_KEPT:
            self._passed.pop(next(iter(self._passed)))
        return held_back + 1 if is_passed else 0

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on."""
        kind = record.exc_info[0] if record.exc_info else None
        if kind is not None and (
            issubclass(kind, ConnectionError) or kind.__module__ in _PEER_FAULTS
        ):
            return
        times = self._times(record)
        if not times:
            return
        try:
            message = record.getMessage()
            if record.levelno >= logging.ERROR:
                get("library").error(
                    "library.fault.met",
                    logger=record.name,
                    message=message,
                    times=times,
                    exc_info=record.exc_info,
                )
            else:
                get("library").warning(
                    "library.warning.given", logger=record.name, message=message, times=times
                )
        except Exception:  # noqa: BLE001 - logging's own way: a line that fails ends nothing
            self.handleError(record)


def get(room: str) -> Logger:
    """Return the logger of a room; events are ``room.thing.happened``."""
    logger: Logger = structlog.get_logger(room=room)
    return logger
