"""Gathers the metrics of every process of this server for one answer to ``/metrics``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import aiohttp

from mediaserver import metrics
from mediaserver.http import unix_http

SCRAPE_TIMEOUT_S: Final = 1.0
"""A process too busy to answer within it is left out: a gap in a graph, not a failed scrape."""
_SOCKETS: Final = ("control.sock", "settler.sock", "http-*.sock", "worker-*.sock")


KEPT_S: Final = 1.0
"""A scrape costs 9 ms over four processes; no scraper needs it more often."""


class Scrape:
    """Answers to ``/metrics``: who asks within a second of another gets the same, not one more."""

    def __init__(
        self,
        run_dir: Path,
        own_socket: str,
        measure: Callable[[], str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Scrape the sockets in `run_dir`; the caller is `own_socket` and measures itself."""
        self._monotonic = monotonic
        self._begun_s = float("-inf")
        self._run_dir = run_dir
        self._own_socket = own_socket
        self._measure = measure
        self._under_way: asyncio.Task[str] | None = None

    async def text(self) -> str:
        """Return the merged metrics of all processes."""
        now_s = self._monotonic()
        is_under_way = self._under_way is not None and not self._under_way.done()
        if self._under_way is None or not (is_under_way or now_s - self._begun_s < KEPT_S):
            self._begun_s = now_s
            work = gather(self._run_dir, self._own_socket, self._measure())
            self._under_way = asyncio.create_task(work)
        return await asyncio.shield(self._under_way)


async def gather(run_dir: Path, own_socket: str, own_text: str) -> str:
    """Return the merged metrics of all processes.

    Args:
        own_socket: File name of the caller's socket, which is skipped.
    """
    paths = _sockets(run_dir, own_socket)
    texts = await asyncio.gather(*(_fetch(path) for path in paths))
    return metrics.merge([own_text, *texts])


def _sockets(run_dir: Path, own_socket: str) -> list[Path]:
    return [
        path
        for pattern in _SOCKETS
        for path in sorted(run_dir.glob(pattern))
        if path.name != own_socket
    ]


async def _fetch(path: Path) -> str:
    try:
        async with (
            unix_http.client(path, SCRAPE_TIMEOUT_S) as session,
            session.get("http://process/internal/metrics") as response,
        ):
            size = response.content_length or 0
            if response.status != 200 or size > metrics.TEXT_BYTES_MAX:
                return ""
            return await response.text(errors="replace")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""
