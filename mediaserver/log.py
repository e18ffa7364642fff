"""Structured logs. Names of events and keys: docs/developer/logs.md, "Log events"."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final, TextIO, cast

import structlog

Logger = structlog.stdlib.BoundLogger

LIBRARY_LINE_S: Final = 1.0
"""A library's line that repeats is written once in this time."""
_LIBRARY_LINES_KEPT: Final = 256
"""Different lines remembered; a library has few texts."""
_PEER_FAULTS: Final = frozenset({"aiohttp.http_exceptions", "aiohttp.client_exceptions"})
"""Modules of exceptions by which aiohttp says that a peer sent what is no HTTP."""


_level = logging.INFO
_process_facts: Final[dict[str, str]] = {}


def configure(log_format: str, level: str, process: str) -> None:
    """Send every log line of this process to standard error.

    Args:
        log_format: ``json`` for machines, ``console`` for people.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        process: Name bound to every line, such as ``http-0``.
    """
    has_colors = sys.stderr is not None and sys.stderr.isatty()
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=has_colors)
    )
    set_level(level)
    structlog.configure(
        processors=[
            _only_from_level,
            structlog.contextvars.merge_contextvars,
            _with_process_facts,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        # Loggers are cached with their class: the level is a processor's, so it can change.
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=structlog.PrintLoggerFactory(file=cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    _process_facts.clear()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
    # Libraries that log by themselves speak only when something is wrong.
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)


def set_level(level: str) -> None:
    """Let pass lines of this level and above from now on."""
    global _level  # noqa: PLW0603 - one log, one level
    _level = getattr(logging, level.upper())


@contextlib.contextmanager
def nothing_below_error() -> Iterator[None]:
    """Let only errors pass meanwhile: what is done is no news, such as a warm-up."""
    global _level  # noqa: PLW0603 - the same
    before, _level = _level, logging.ERROR
    try:
        yield
    finally:
        _level = before


def _only_from_level(
    _: object, method: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    number = logging.ERROR if method == "exception" else getattr(logging, method.upper())
    if number < _level:
        raise structlog.DropEvent
    return line


def bind_process(**facts: str) -> None:
    """Put facts on every further line of this process, whichever task or thread writes it."""
    _process_facts.update(facts)


def _with_process_facts(
    _: object, __: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for name, value in _process_facts.items():
        line.setdefault(name, value)
    return line


class _StandardError:
    """Standard error, whose lines may be lost but end nothing.

    Its disk may be full, its reader gone, or nobody opened it: a broadcast goes on all the same.
    """

    def __init__(self) -> None:
        self._file = sys.stderr

    def write(self, text: str) -> int:
        """Write, or lose it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """Pass on what was written; what cannot be is tried again with the next line."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.flush()


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
