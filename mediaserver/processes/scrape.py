"""Gathers the metrics of every process of this server for one answer to ``/metrics``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import aiohttp

from mediaserver import metrics

SCRAPE_TIMEOUT_S: Final = 1.0
"""A process too busy to answer within it is left out: a gap in a graph, not a failed scrape."""
_SOCKETS: Final = ("control.sock", "http-*.sock", "worker-*.sock")


async def gather(run_dir: Path, own_socket: str, own_text: str) -> str:
    """Return the merged metrics of all processes.

    Args:
        run_dir: Where the unix sockets are.
        own_socket: File name of the caller's socket, which is not asked.
        own_text: The caller's own metrics.
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
            asyncio.timeout(SCRAPE_TIMEOUT_S),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
            session.get("http://process/internal/metrics") as response,
        ):
            size = response.content_length or 0
            if response.status != 200 or size > metrics.TEXT_BYTES_MAX:
                return ""
            return await response.text(errors="replace")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return ""
