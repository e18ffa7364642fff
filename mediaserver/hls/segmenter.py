"""Where parts and segments end. Frame after frame in, cuts out.

One for the whole show: its cuts hold for every rendition. A frame belongs to the part
in which it starts. Parts are cut where frames begin, at the part target or before the frame that
would cross it; only where frames are too long for that (a slide show, a stall) a part ends in the
middle of one. Segments end at IDR frames. What to do when none comes (ask, re-encode) is decided by
live/keyframe_policy.py from `wants_idr` and `is_overdue`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from mediaserver.hls import slots
from mediaserver.hls.settings import HlsSettings
from mediaserver.media import Slot

PART_MIN_PERCENT: Final = 85
"""rfc8216bis, 4.4.4.9: a part is at least this much of PART-TARGET unless a cut comes early."""
ROUNDING_MS: Final = 2
"""Frame times are rounded to whole ms, so a frame may look this much longer than it is."""
AUDIO_OVERRUN_MS: Final = 22
"""A segment of the audio rendition ends up to one AAC frame late: 1024 / 48000 s."""
SEAM_MS: Final = 100
"""A break this short is one of coding, not of time: what ends there leaves no hole."""
OVERDUE_SLACK_MS: Final = 100
"""A forced IDR is asked for this early, so that one late frame does not break TARGETDURATION."""


@dataclass(frozen=True, slots=True)
class PartBegan:
    """A part opens. `is_discontinuity` is only True on part 0."""

    slot: Slot
    is_discontinuity: bool


@dataclass(frozen=True, slots=True)
class PartEnded:
    """A part ends here, at or before its plan.

    Attributes:
        has_frames: A frame of the source starts in it; what passes without (a still picture, a
            stall) has none.
        held_ms: Where the publisher's media end in it; None: at its end.
    """

    slot: Slot
    end_ms: int
    has_frames: bool = field(default=False, compare=False)
    held_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """A segment ends here; its last part ended just before this event."""

    msn: int
    end_ms: int


SegmenterEvent = PartBegan | PartEnded | SegmentEnded


class Segmenter:
    """The state between two frames.

    Attributes:
        target_ms: Segments are meant to be this long.
        longest_ms: No segment, planned or real, is longer: its EXTINF rounds to TARGETDURATION or
            less, the audio rendition's overrun included (rfc8216bis, 4.4.3.1).
    """

    def __init__(self, settings: HlsSettings, first_msn: int) -> None:
        self.longest_ms = settings.target_duration_s * 1000 + 499 - AUDIO_OVERRUN_MS
        self._part_ms = settings.part_target_ms
        self._part_min_ms = -(-settings.part_target_ms * PART_MIN_PERCENT // 100)
        self.target_ms = settings.segment_target_ms
        self.is_filler = False
        self._msn = first_msn - 1
        self._slot: Slot | None = None
        self._segment_start_ms = 0
        self._lacks_idr = False
        self._owes_discontinuity = False
        self._last_start_ms = 0
        self._last_idr_ms = 0
        self._frame_ms = 0
        self._lately_ms: deque[int] = deque(maxlen=3)
        self._has_inter = False
        self._has_frames = False

    @property
    def msn(self) -> int:
        """Return the number of the newest segment, first_msn - 1 before there is one."""
        return self._msn

    @property
    def slot(self) -> Slot | None:
        """Return the open part's slot, None while nothing is open."""
        return self._slot

    @property
    def frame_end_ms(self) -> int:
        """Return where the newest frame ends if it is as long as the one before it."""
        return self._last_start_ms + max(1, self._frame_ms)

    def frame(
        self, start_ms: int, is_idr: bool, is_discontinuity: bool = False
    ) -> tuple[SegmenterEvent, ...]:
        """Take the next frame and return what it ends and begins, in order.

        A frame before the first IDR, or one that starts in a part that has ended, changes nothing.

        Args:
            start_ms: Where it starts; grows from frame to frame.
            is_idr: A decoder can start here (for audio: always).
            is_discontinuity: Time or coding breaks here. What is open ends here or, when time
                leaps, where its last frame ends; what follows begins at the first IDR from here on.
        """
        events: list[SegmenterEvent] = []
        if is_discontinuity:
            is_seam = start_ms - self.frame_end_ms <= SEAM_MS
            events += self.finish(start_ms if is_seam else self.frame_end_ms)
            self._owes_discontinuity = True
        if self._slot is None:
            if is_idr:
                self._last_start_ms = self._last_idr_ms = start_ms
                self._begin_segment(events, start_ms, lacks_idr=False)
                self._has_frames = True
            return tuple(events)
        if start_ms < self._slot.start_ms or start_ms <= self._last_start_ms:
            return tuple(events)
        self._frame_ms = min(start_ms - self._last_start_ms, 1000)
        self._lately_ms.append(self._frame_ms)
        slot = self._catch_up(events, self._slot, start_ms)
        self._place(events, slot, start_ms, is_idr=is_idr)
        self._has_frames = True
        self._last_start_ms = start_ms
        if is_idr:
            self._last_idr_ms = start_ms
        return tuple(events)

    def pass_time(self, until_ms: int) -> tuple[SegmenterEvent, ...]:
        """End what is planned to end before `until_ms`: no frame starts before it any more.

        For a picture that has stopped while sound goes on. A segment that is begun so has no IDR
        at its start, and ends at the next one.
        """
        events: list[SegmenterEvent] = []
        if self._slot is not None:
            self._catch_up(events, self._slot, until_ms)
        return tuple(events)

    def finish(self, end_ms: int) -> tuple[SegmenterEvent, ...]:
        """End part and segment here: the publisher is lost or the show is over.

        The next IDR opens the next segment; say `is_discontinuity` when time breaks between.
        """
        if self._slot is None:
            return ()
        events: list[SegmenterEvent] = []
        end_ms = max(end_ms, self._last_start_ms + 1, self._slot.start_ms + 1)
        slot = self._catch_up(events, self._slot, end_ms)
        self._end_segment(events, slot, end_ms)
        self._slot = None
        return tuple(events)

    def wants_idr(self, start_ms: int) -> bool:
        """Return True when a frame starting here should be an IDR: the segment is long enough.

        That is at the segment target, or at the end of a part when the next would end further from
        it, or as soon as there is a frame in a segment that has begun without.
        """
        if self._slot is None or self._lacks_idr:
            return True
        elapsed_ms = start_ms - self._segment_start_ms
        if elapsed_ms >= self.target_ms:
            return True
        return self._is_part_full(start_ms) and self._is_nearest(elapsed_ms, self._part_ms)

    def is_overdue(self, start_ms: int) -> bool:
        """Return True when without an IDR here the segment may break TARGETDURATION."""
        if self._slot is None:
            return False
        reach_ms = self._frame_ms + max(self._frame_ms, OVERDUE_SLACK_MS)
        return start_ms - self._segment_start_ms + reach_ms > self.longest_ms

    def _place(
        self, events: list[SegmenterEvent], slot: Slot, start_ms: int, *, is_idr: bool
    ) -> None:
        """Decide whether a frame that starts in the open part begins something."""
        if start_ms > slot.start_ms:
            if is_idr and self._ends_segment(start_ms):
                self._end_segment(events, slot, start_ms)
                self._begin_segment(events, start_ms, lacks_idr=False)
                return
            if self._is_part_full(start_ms) or (is_idr and self._begins_part(slot, start_ms)):
                self._cut(events, slot, start_ms)
                self._has_inter = not is_idr
                return
        elif is_idr and start_ms == self._segment_start_ms:
            self._lacks_idr = False
        self._has_inter = self._has_inter or not is_idr

    def _ends_segment(self, start_ms: int) -> bool:
        if self._lacks_idr:
            return True
        elapsed_ms = start_ms - self._segment_start_ms
        if elapsed_ms >= self.target_ms:
            return True
        gop_ms = start_ms - self._last_idr_ms
        if self._is_part_full(start_ms):
            # Where every frame is an IDR (audio), a segment ends with a whole part.
            gop_ms = max(gop_ms, self._part_ms)
        if self._is_nearest(elapsed_ms, gop_ms):
            return True
        # An early end is better than an IDR that comes too late, but not for a tiny segment.
        return elapsed_ms * 2 >= self.target_ms and elapsed_ms + gop_ms > self.longest_ms

    def _is_nearest(self, elapsed_ms: int, step_ms: int) -> bool:
        """True when the target is at most a quarter away, and further after one more step."""
        early_ms = self.target_ms - elapsed_ms
        return early_ms * 4 <= self.target_ms and early_ms <= step_ms - early_ms

    def _begins_part(self, slot: Slot, start_ms: int) -> bool:
        """True when an IDR here is worth a part: not at each frame of an intra-only source."""
        is_late = (start_ms - slot.start_ms) * 4 >= self._part_ms
        is_independent = slot.start_ms == self._last_idr_ms
        return self._has_inter and (is_late or not is_independent)

    def _is_part_full(self, start_ms: int) -> bool:
        """True when a frame starting here should begin a part: it would cross the plan's end."""
        slot = self._slot
        if slot is None or start_ms >= slot.planned_end_ms:
            return slot is not None
        if start_ms - slot.start_ms < self._part_min_ms:
            return False
        # By the longest of three: in whole ms, frames of AAC last 21, 21 and 22.
        frame_ms = max(self._lately_ms, default=0)
        return start_ms + frame_ms - ROUNDING_MS > slot.planned_end_ms

    def _catch_up(self, events: list[SegmenterEvent], slot: Slot, until_ms: int) -> Slot:
        """Cut what a time past the plan's end proves to be over; return the slot then open."""
        while until_ms > slot.planned_end_ms:
            # The prediction was wrong: the newest frame runs past the plan, so it begins the next
            # part. Where that would leave too little, the part ends by plan, inside the frame.
            end_ms = slot.planned_end_ms
            if self._last_start_ms - slot.start_ms >= self._part_min_ms:
                end_ms = self._last_start_ms
            slot = self._cut(events, slot, end_ms)
            self._has_inter = True
        return slot

    def _cut(self, events: list[SegmenterEvent], slot: Slot, at_ms: int) -> Slot:
        if at_ms >= self._segment_start_ms + self.longest_ms:
            self._end_segment(events, slot, at_ms)
            return self._begin_segment(events, at_ms, lacks_idr=True)
        events.append(PartEnded(slot, at_ms, self._has_frames))
        return self._begin_part(events, slot.part + 1, at_ms, is_discontinuity=False)

    def _begin_segment(self, events: list[SegmenterEvent], at_ms: int, *, lacks_idr: bool) -> Slot:
        self._msn += 1
        self._segment_start_ms = at_ms
        self._lacks_idr = lacks_idr
        self._has_inter = False
        is_discontinuity = self._owes_discontinuity
        self._owes_discontinuity = False
        return self._begin_part(events, 0, at_ms, is_discontinuity=is_discontinuity)

    def _begin_part(
        self, events: list[SegmenterEvent], part: int, at_ms: int, *, is_discontinuity: bool
    ) -> Slot:
        limit_ms = self._segment_start_ms + self.longest_ms
        slot = slots.plan(self._msn, part, at_ms, self._part_ms, limit_ms, is_filler=self.is_filler)
        self._slot = slot
        # The newest frame may run past a plan, and begin the part behind it.
        self._has_frames = self._last_start_ms == at_ms
        events.append(PartBegan(slot, is_discontinuity))
        return slot

    def _end_segment(self, events: list[SegmenterEvent], slot: Slot, at_ms: int) -> None:
        events.append(PartEnded(slot, at_ms, self._has_frames))
        events.append(SegmentEnded(self._msn, at_ms))
