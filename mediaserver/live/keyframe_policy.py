"""What to do when the publisher's keyframes do not come where segments should end. Pure.

First they are asked for (browsers obey, OBS does not). When the next segment would break
TARGETDURATION, the source is re-encoded from this frame on, with an IDR wherever a segment should
end. When the publisher's own keyframes fit again for a while, it is passed through again. Each
change is a discontinuity, so the while doubles each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.hls.segmenter import Segmenter

FIT_MS: Final = 10_000
"""Five default GOPs prove that the publisher's settings have changed."""
FIT_MS_MAX: Final = 600_000
LATE_MS: Final = 100
"""A publisher whose keyframes come by themselves is asked only when the next is this late."""
ASK_AHEAD_MS: Final = 250
"""A publisher that answers requests is asked this long before a segment should end: what it takes
for the request, the next frame and its way here."""
FIT_SLACK_MS: Final = 150
"""A GOP must be this much shorter than the longest segment, as frames jitter."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a frame.

    Attributes:
        is_idr: It is, or will be made, a frame that a segment may begin with.
        is_break: Coding breaks here: another init, so a discontinuity.
        is_asking: Ask the publisher for a keyframe.
    """

    is_idr: bool
    is_break: bool = False
    is_asking: bool = False


class KeyframePolicy:
    """Watches the keyframes of one show.

    Attributes:
        is_reencoding: The source is to be an encode from the frame last decided on.
        gop_ms: The newest distance of two keyframes of the publisher, 0 while unknown.
        late_gop_ms: The longest since one was too long to pass the source on, 0 without.
    """

    def __init__(self) -> None:
        self.is_reencoding = False
        self.gop_ms = self.late_gop_ms = 0
        self._is_obeyed = False
        self._last_idr_ms: int | None = None
        self._fits_since_ms: int | None = None
        self._fit_ms = FIT_MS

    def meet(self, *, is_obeyed: bool) -> None:
        """Another publisher: one that answers requests by keyframes, or one that may not."""
        self._is_obeyed = is_obeyed
        self.begin()

    def begin(self) -> None:
        """Forget distances: another publisher, or time has jumped."""
        self._last_idr_ms = self._fits_since_ms = None

    def decide(
        self, start_ms: int, is_idr: bool, segmenter: Segmenter, must_encode: bool
    ) -> Decision:
        """Return what to do with the next frame; `segmenter` is as it is before this frame.

        With `must_encode` the source cannot be passed through at all (B-frames).
        """
        self._observe(start_ms, is_idr, segmenter.longest_ms - FIT_SLACK_MS)
        if segmenter.slot is None:
            # Nothing is open: begin where a decoder can, in the coding that was decided last.
            self.is_reencoding = self.is_reencoding or must_encode
            return Decision(is_idr, is_asking=not is_idr)
        wants_idr = segmenter.wants_idr(start_ms)
        is_asking = not is_idr and self._is_asking(start_ms, segmenter)
        if self.is_reencoding:
            if is_idr and not must_encode and self._has_fitted(start_ms):
                self.is_reencoding = False
                self.late_gop_ms = 0
                self._fit_ms = min(2 * self._fit_ms, FIT_MS_MAX)
                return Decision(is_idr=True, is_break=True)
            return Decision(wants_idr, is_asking=is_asking)
        is_due = segmenter.is_overdue(start_ms) and not is_idr
        if is_due or (must_encode and is_idr):
            self.is_reencoding = True
            if is_due and self._last_idr_ms is not None:
                self.late_gop_ms = start_ms - self._last_idr_ms
            self._fits_since_ms = None
            return Decision(is_idr=True, is_break=True)
        return Decision(is_idr, is_asking=is_asking)

    def _observe(self, start_ms: int, is_idr: bool, fit_ms: int) -> None:
        since_ms = 0 if self._last_idr_ms is None else start_ms - self._last_idr_ms
        if since_ms > fit_ms:
            self._fits_since_ms = None
            self.gop_ms = since_ms
            if self.late_gop_ms:
                self.late_gop_ms = max(self.late_gop_ms, since_ms)
        if not is_idr:
            return
        if self._last_idr_ms is not None:
            self.gop_ms = since_ms
        if self._fits_since_ms is None:
            self._fits_since_ms = start_ms
        self._last_idr_ms = start_ms

    def _is_asking(self, start_ms: int, segmenter: Segmenter) -> bool:
        """True when the publisher should be asked for a keyframe at this frame."""
        if self._is_obeyed:
            return segmenter.wants_idr(start_ms + ASK_AHEAD_MS)
        return segmenter.wants_idr(start_ms) and not self._is_expected(start_ms, segmenter)

    def _is_expected(self, start_ms: int, segmenter: Segmenter) -> bool:
        """True when the publisher's own rhythm will end the segment in time."""
        if self._last_idr_ms is None or not 0 < self.gop_ms <= segmenter.target_ms + LATE_MS // 2:
            return False
        return start_ms - self._last_idr_ms <= self.gop_ms + LATE_MS

    def _has_fitted(self, start_ms: int) -> bool:
        return self._fits_since_ms is not None and start_ms - self._fits_since_ms >= self._fit_ms
