"""Time stamps that leave the server's clock: how often, what the creator reads, when it is enough.

A publisher whose stamps run ahead is cut by the timeline, and its viewers see a pause; one that
does so again and again is ended, as its show helps nobody. Stamps that fall behind cost viewers a
break, and nobody a bill: the creator reads of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from mediaserver import log
from mediaserver.hls.slots import LEAD_MAX_MS
from mediaserver.ingest.session import EndReason
from mediaserver.live.timeline import Strayed
from mediaserver.media import Track

CUTS_MAX: Final = 4
CUTS_WITHIN_S: Final = 120.0
"""Stamps that run 10 % fast are cut each 33 s. A network whose delay falls by three seconds does it
once."""
ADVICE_S: Final = 300.0
"""How long the creator reads of it after it was over."""
_NAMES: Final = {Track.VIDEO: "picture's", Track.AUDIO: "sound's"}


class StrayTime:
    """What became of the time stamps of one show's publishers.

    Attributes:
        ahead: How often what ran ahead was cut.
        breaks: How often a mapping was given up otherwise.
    """

    def __init__(
        self, logger: log.Logger, end_publisher: Callable[[EndReason], None] | None
    ) -> None:
        self._log = logger
        self._end_publisher = end_publisher
        self.ahead = 0
        self.breaks = 0
        self._newest: Strayed | None = None
        self._newest_s = 0.0
        self._cuts_s: deque[float] = deque(maxlen=CUTS_MAX)
        self._is_ended = False

    def begin(self) -> None:
        """Another session of the publisher begins; what was counted stays."""
        self._cuts_s.clear()
        self._is_ended = False

    def note(self, strayed: Strayed, *, is_cut: bool, now_s: float) -> None:
        """Count, log, and end the publisher's session when it is enough.

        Args:
            is_cut: What ran ahead of the clock was cut.
            now_s: Monotonic seconds.
        """
        self._newest, self._newest_s = strayed, now_s
        self._log.warning(
            "show.time.strayed",
            track=strayed.track.value,
            media_ms=strayed.media_ms,
            real_ms=strayed.real_ms,
            is_cut=is_cut,
        )
        if not is_cut:
            self.breaks += 1
            return
        self.ahead += 1
        self._cuts_s.append(now_s)
        is_enough = len(self._cuts_s) == CUTS_MAX and now_s - self._cuts_s[0] <= CUTS_WITHIN_S
        if is_enough and not self._is_ended:
            self._is_ended = True
            if self._end_publisher is not None:
                self._end_publisher(EndReason.TIME_STAMPS)

    def advice(self, now_s: float, early: str) -> tuple[str, ...]:
        """Return what the creator should know.

        Args:
            now_s: Monotonic seconds.
            early: Why nothing can be published yet, empty when it can.
        """
        advice = (early,) if early else ()
        if self._newest is None or now_s - self._newest_s > ADVICE_S:
            return advice
        return (*advice, self._sentence(self._newest))

    def _sentence(self, strayed: Strayed) -> str:
        measured = (
            f"{strayed.media_ms / 1000:.1f} s passed by your {_NAMES[strayed.track]} time stamps "
            f"while {strayed.real_ms / 1000:.1f} s passed here"
        )
        remedy = "restart the encoder, and look at its frame rate and its sound's sample rate"
        if self._is_ended:
            return (
                f"Your session was ended: {measured}, again and again, and nobody can watch faster "
                f"than time passes. Before you publish again, {remedy}."
            )
        if self.ahead:
            return (
                f"Your time stamps run ahead of the clock: {measured}. What is more than "
                f"{LEAD_MAX_MS // 1000} s ahead is cut, which your viewers see as a pause "
                f"({self.ahead} so far): {remedy}."
            )
        return (
            f"Your time stamps do not follow the clock: {measured}. Your viewers see a break each "
            f"time ({self.breaks} so far): {remedy}."
        )
