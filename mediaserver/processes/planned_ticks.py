"""How far ahead streams are planned, as their workers say and as is kept of their shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from uuid import UUID

from mediaserver.clock import Clock
from mediaserver.hls.slots import PLANNED_AHEAD_S
from mediaserver.processes.placement import Workers


class PlannedTicks:
    """The newest seconds that may be planned."""

    def __init__(self, folder: Path, workers: Workers, clock: Clock) -> None:
        """Look into `folder`, where workers keep the state of shows."""
        self._folder = folder
        self._workers = workers
        self._clock = clock

    async def of_stream(self, stream: UUID) -> int:
        """Return the newest second of a stream that may be planned, by its worker and its file."""
        now_tick = self._clock.now_ms() // 1000
        worker = self._workers.of(stream)
        planned = worker.newest_planned_tick if worker is not None else 0
        stored = await asyncio.to_thread(_stored_tick, self._folder / f"{stream}.json")
        return max(planned, stored, now_tick + PLANNED_AHEAD_S)

    async def of_all(self) -> dict[UUID, int]:
        """Return the newest second that each stream planned, as workers and files say."""
        newest = await asyncio.to_thread(_stored_ticks, self._folder)
        for worker in self._workers.living():
            if worker.stream is not None:
                planned = worker.newest_planned_tick
                newest[worker.stream] = max(planned, newest.get(worker.stream, 0))
        return newest


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
