"""Shows that may go on though this process has nothing of them yet: the server or we restarted.

Until their worker is here and has told its whole window, a viewer's question is held: a 404 would
be the end of the show for most players.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from mediaserver.clock import Clock

HELD_S: Final = 9.0
PLAIN_HELD_S: Final = 25.0
"""How long a question is held for a show that may go on after a restart: what names a part or
segment, and a playlist without directives. FFmpeg ends at its first refusal and waits for long;
hls.js asks three times of 10 s each; an encoder is back after some 27 s."""
FILL_S: Final = 5.0
"""A worker tells a window of a minute in far less; its health, told last, ends the wait."""


@dataclass(slots=True)
class _Awaited:
    show: int
    until_s: float


class Resumption:
    """What is awaited, and an event for those who wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._awaited: dict[UUID, _Awaited] = {}
        self._changed = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """True when nothing is awaited, as nearly always."""
        return not self._awaited

    @property
    def changed(self) -> asyncio.Event:
        """Return an event that is set at the next change."""
        return self._changed

    def expect(self, stream: UUID, show: int, wait_s: float) -> None:
        """A show may go on within `wait_s`."""
        self._awaited[stream] = _Awaited(show, self._clock.monotonic() + wait_s)

    def awaits(self, stream: UUID, show: int | None) -> bool:
        """Return whether a show of a stream may still come; None asks for its current one."""
        awaited = self._awaited.get(stream)
        return awaited is not None and show in (None, awaited.show)

    def opened(self, stream: UUID, show: int) -> None:
        """A worker has the stream: it tells its window now, or has begun another show."""
        awaited = self._awaited.get(stream)
        if awaited is not None and awaited.show == show:
            awaited.until_s = self._clock.monotonic() + FILL_S
        else:
            self.filled(stream)

    def filled(self, stream: UUID) -> None:
        """What there is of the stream is here."""
        if self._awaited.pop(stream, None) is not None:
            self.wake()

    def expire(self) -> None:
        """Wait no longer for what did not come in time; called about once a second."""
        now_s = self._clock.monotonic()
        for stream in [s for s, awaited in self._awaited.items() if awaited.until_s <= now_s]:
            self.filled(stream)

    def wake(self) -> None:
        """Let those who wait look again."""
        before, self._changed = self._changed, asyncio.Event()
        before.set()
