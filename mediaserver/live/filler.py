"""What viewers get while no publisher is there: its last picture again, with silence.

So the timeline has no hole when it comes back, and no break if it sends what it sent before: shaka
and VLC do not find their way over one, and all others show a pause. Nobody pays for it: slots
of filler have no tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from mediaserver.hls.segmenter import SegmenterEvent
from mediaserver.live.broadcast_clock import BroadcastClock
from mediaserver.live.media_pipeline import MediaPipeline
from mediaserver.media import AccessUnit

PERIOD_MS: Final = 500
"""A picture in each part of the default length, and at most as much to send as a keyframe."""


class Filler:
    """The newest picture that can be shown alone, and when it is due again."""

    def __init__(self) -> None:
        self._picture: AccessUnit | None = None
        self._next_ms: int | None = None

    @property
    def is_on(self) -> bool:
        """True from the loss of a publisher to the first picture of the next."""
        return self._next_ms is not None

    @property
    def floor_ms(self) -> int:
        """Return where a publisher's pictures may begin; 0: anywhere."""
        return 0 if self._next_ms is None else self._next_ms - PERIOD_MS + 1

    def note(self, unit: AccessUnit) -> None:
        """Keep a publisher's picture if it can be shown alone."""
        if unit.is_idr:
            self._picture = unit

    def begin(self, at_ms: int) -> bool:
        """Begin where the publisher's last frame ended; return False: there is no picture."""
        self._next_ms = at_ms if self._picture is not None else None
        return self.is_on

    def end(self) -> None:
        """A publisher's pictures go on, or none follow."""
        self._next_ms = None

    def go_on(
        self,
        now_ms: int,
        clock: BroadcastClock,
        pipeline: MediaPipeline,
        apply: Callable[[Sequence[SegmenterEvent]], None],
    ) -> None:
        """Make what is due by now; `apply` takes the cuts. Asked at each poll."""
        while self._picture and self._next_ms is not None and self._next_ms <= now_ms:
            events, begins_segment = clock.fill(self._next_ms)
            apply(events)
            pipeline.push_video(self._picture, self._next_ms, begins_segment)
            self._next_ms += PERIOD_MS
