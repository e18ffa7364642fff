"""Structured logs. Names of events and keys: docs/developer.md, "Log events"."""

from __future__ import annotations

import logging
import sys

import structlog

Logger = structlog.stdlib.BoundLogger


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
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)


def get(room: str) -> Logger:
    """Return the logger of a room; events are ``room.thing.happened``."""
    logger: Logger = structlog.get_logger(room=room)
    return logger
