"""The order of things on their way out: first on the disk, then on the links.

A message that follows `save_before` leaves only once that state is kept, so a worker that takes
over never gives out a number or a second again. Messages keep their order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from mediaserver import listening, log
from mediaserver.clock import Clock, SystemClock
from mediaserver.ipc.messages import Message
from mediaserver.live.replay_buffer import ReplayBuffer
from mediaserver.live.show_state import ShowState
from metering.log_throttle import LogThrottle

SAVE_TIMEOUT_S: Final = 3.0
"""A disk that takes longer is broken. The show goes on without: what is lost is only that another
worker could not continue it."""

_log = log.get("show")


class StateFile(Protocol):
    """Where a show's state is kept (show_state.ShowFile)."""

    async def load(self) -> ShowState | None:
        """Return what was last saved."""

    async def save(self, state: ShowState) -> None:
        """Keep it; raises OSError."""


class Publication:
    """Messages that wait for the disk, and the saving itself."""

    def __init__(
        self,
        file: StateFile,
        publish: Callable[[Message], None],
        replay: ReplayBuffer,
        save_timeout_s: float = SAVE_TIMEOUT_S,
        clock: Clock | None = None,
    ) -> None:
        self._file = file
        self._publish = publish
        self._replay = replay
        self._queue: deque[Message | ShowState] = deque()
        self._save_timeout_s = save_timeout_s
        self._clock = clock or SystemClock()
        self._stuck: asyncio.Task[None] | None = None
        self._saving: asyncio.Task[None] | None = None
        self._throttle = LogThrottle()

    def save_before(self, state: ShowState) -> None:
        """Keep `state` before anything that is sent from now on."""
        self._queue.append(state)
        if self._saving is None:
            self._saving = asyncio.get_running_loop().create_task(self._run())

    def send(self, message: Message) -> None:
        """Publish, once what was to be saved before is."""
        if self._queue or self._saving is not None:
            self._queue.append(message)
        else:
            self._publish_now(message)

    async def flushed(self) -> None:
        """Return when nothing waits."""
        while self._saving is not None:
            await asyncio.shield(self._saving)

    async def _run(self) -> None:
        try:
            while self._queue:
                item = self._queue.popleft()
                if isinstance(item, ShowState):
                    await self._save(item)
                else:
                    self._publish_now(item)
        finally:
            self._saving = None

    async def _save(self, state: ShowState) -> None:
        if self._stuck is not None and not self._stuck.done():
            return  # What waits must stay bounded: nothing more is given to a disk that hangs.
        save = asyncio.get_running_loop().create_task(self._file.save(state))
        with contextlib.suppress(TimeoutError):
            async with listening.timeout(self._clock, self._save_timeout_s):
                await asyncio.wait({save})
        if not save.done():
            self._stuck = save
            save.add_done_callback(_consume)
            self._lost(state, "disk hangs")
        elif (error := save.exception()) is not None:
            if not isinstance(error, OSError):
                raise error
            self._lost(state, str(error))
        else:
            self._throttle.succeeded()

    def _lost(self, state: ShowState, reason: str) -> None:
        if count := self._throttle.failed(reason):
            _log.error(
                "show.state.lost", show=state.show, msn=state.msn, reason=reason, times=count
            )

    def _publish_now(self, message: Message) -> None:
        self._replay.record(message)
        self._publish(message)


def _consume(save: asyncio.Task[None]) -> None:
    if not save.cancelled():
        save.exception()
