"""What is kept of a show on disk, so that a restart of the server goes on with it.

One small JSON file per stream, ``shows/<stream uuid>.json``, written whole and atomically when a
segment opens, before any part of it can be seen: its parts are served and cached at once, so their
numbers and seconds must never be given to other media.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

from mediaserver import log

_log = log.get("show")


@dataclass(frozen=True, slots=True)
class ShowState:
    """A show as of its newest segment.

    Attributes:
        show: Its number.
        msn: Media sequence number of the newest segment that was opened.
        planned_end_ms: No part of that segment is planned to end later.
        discontinuity_sequence: Discontinuities up to and including that segment.
        origin_ms: Where decode times count from.
        audio_only: True when no rendition has video.
        part_target_ms: PART-TARGET, constant for the show.
        target_duration_s: TARGETDURATION, constant for the show.
        ended: ENDLIST was published.
    """

    show: int
    msn: int
    planned_end_ms: int
    discontinuity_sequence: int
    origin_ms: int
    audio_only: bool
    part_target_ms: int
    target_duration_s: int
    ended: bool = False


def resumable(folder: Path, now_ms: int, wait_s: int) -> Iterator[tuple[UUID, int, float]]:
    """Yield each stream whose show may still go on, its show's number and for how many seconds.

    Blocks for the reading: it is for a process that begins.

    Args:
        wait_s: How long a show waits for its publisher.
    """
    for path in sorted(folder.glob("*.json")):
        state = _read(path)
        if state is not None and not state.ended:
            left_ms = state.planned_end_ms + wait_s * 1000 - now_ms
            with contextlib.suppress(ValueError):
                if left_ms > 0:
                    yield UUID(path.stem), state.show, left_ms / 1000


class ShowFile:
    """The file of one stream."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def load(self) -> ShowState | None:
        """Return what was last saved, None when there is nothing usable."""
        return await asyncio.get_running_loop().run_in_executor(None, _read, self._path)

    async def save(self, state: ShowState) -> None:
        """Replace the file; it is on the disk when this returns.

        Raises:
            OSError: The disk does not take it. The older file is gone too: a worker that went on
                by it would give out numbers a second time, and a new show is better than that.
        """
        await asyncio.get_running_loop().run_in_executor(None, self._replace, state)

    def _replace(self, state: ShowState) -> None:
        try:
            self._write(state)
        except OSError:
            for path in (self._path, self._path.with_suffix(".new")):
                with contextlib.suppress(OSError):
                    path.unlink()
            raise

    def _write(self, state: ShowState) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(json.dumps(asdict(state)).encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        # The rename itself is on the disk only once the directory is.
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _read(path: Path) -> ShowState | None:
    try:
        body = json.loads(path.read_bytes())
        kinds = ShowState.__annotations__
        is_whole = body.keys() == kinds.keys() and all(
            type(value).__name__ == kinds[name] for name, value in body.items()
        )
        if is_whole:
            return ShowState(**body)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        _log.warning("show.state.unreadable", file=path.name, reason=str(error))
        return None
    _log.warning("show.state.unreadable", file=path.name, reason="not a show's state")
    return None
