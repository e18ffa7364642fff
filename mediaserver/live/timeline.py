"""RTP times, sender reports and the server's clock -> one media timeline.

Decides where on the timeline each access unit is: whole milliseconds of Unix time for video,
1/48000 s since the Unix epoch for audio. What happens to the samples is for others.

How a track is placed. Its time is its RTP time plus an offset. The offset that the server's clock
asks for is `arrival - RTP time` of the quickest unit of the last `WINDOW_MS`: jitter only ever
delays, so the smallest is the best. Nothing is done while the offset is within a dead band of
that, so that 15 frames at 30 per second are exactly 500 ms nearly always; outside of it the offset
is slewed at `SLEW_PPM` until it is right again. Once both tracks have a sender report, audio
follows the reports' relation to video and no longer its own arrival.

Seconds are the server's (docs/metering.md, "Time"): what would be placed more than `LEAD_MAX_MS`
ahead of its clock is left out, and a new mapping begins once the clock has come to where this one
ended.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from mediaserver.hls.slots import LEAD_MAX_MS
from mediaserver.media import AUDIO_TIMESCALE, AccessUnit, SenderReport, Track

SLEW_PPM: Final = 2_000
"""2 ms per second: ten times the drift of two bad crystals (200 ppm), so it always catches up; as
pitch 3.5 cents, below the 5 to 6 that people hear; a frame at 30 per second moves by 67 us."""
FAST_SLEW_PPM: Final = 10_000
"""Sound only, once it is more than `LIP_SYNC_US` off the picture: 1 % for some seconds is less
disturbing than speech out of step with the lips."""
LIP_SYNC_US: Final = 40_000
"""ITU-R BT.1359: sound 45 ms early is noticed."""
VIDEO_DEAD_BAND_US: Final = 40_000
"""Nobody sees PROGRAM-DATE-TIME 40 ms off, but parts are uneven while it is slewed: at 50 ppm that
is 20 s in every 13 minutes."""
AUDIO_DEAD_BAND_US: Final = 10_000
"""Well inside lip sync."""
SETTLED_US: Final = 500
"""A slew ends when it is this close: the rounding to whole ms."""
WINDOW_MS: Final = 10_000
"""How long the quickest unit counts: longer than any GOP's burst, short against drift (2 ms)."""
BUCKET_MS: Final = 1_000
GAP_MS: Final = 1_200
"""More absent media, or time running back further, is a discontinuity: 1 s of a slide show at one
frame per second, and its jitter, is not."""
LEAD_BEGIN_MS: Final = 2_000
"""A timeline begins no further ahead than this: the publisher's jitter must not cut it at once."""
REORDER_DEPTH_MAX: Final = 16
"""H.264, A.3.1: MaxDpbFrames is at most 16, so no frame is displayed later than this."""
_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Strayed:
    """Time stamps that left the server's clock so far that their mapping was given up.

    Attributes:
        track: Whose.
        media_ms: How much time they said had passed since the mapping began.
        real_ms: How much had.
    """

    track: Track
    media_ms: int
    real_ms: int


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a unit is placed.

    Attributes:
        time: Video: whole ms of Unix time, strictly growing. Audio: 1/48000 s since the epoch.
        is_discontinuity: Time breaks before this unit. Never True on the first of all.
        is_left_out: The clock has yet to come to its time: the unit is not used.
        strayed: Why, when the time stamps are to blame.
    """

    time: int
    is_discontinuity: bool
    is_left_out: bool = False
    strayed: Strayed | None = field(default=None, compare=False)


@dataclass(slots=True)
class _Clock:
    """The mapping of one track's RTP time."""

    clock_rate: int
    rtp_zero: int
    offset_us: int
    dead_band_us: int
    newest_rtp: int
    slewed_rtp: int
    began_ms: int
    slewing_ppm: int = 0
    """How fast it is being slewed; 0: it is not."""
    quickest: deque[tuple[int, int]] | None = None
    """(bucket, smallest arrival minus media time in us), oldest first."""

    def media_us(self, rtp_time: int) -> int:
        """Return microseconds since this mapping began, floored."""
        return (rtp_time - self.rtp_zero) * _US // self.clock_rate

    def place(self, rtp_time: int, timescale: int) -> int:
        """Return the position in 1/timescale s, rounded once from the RTP clock."""
        numerator = (rtp_time - self.rtp_zero) * _US + self.offset_us * self.clock_rate
        divisor = self.clock_rate * _US
        return (2 * numerator * timescale + divisor) // (2 * divisor)

    def observe(self, rtp_time: int, now_ms: int) -> None:
        """Remember how soon this unit came."""
        if self.quickest is None:
            self.quickest = deque()
        bucket = now_ms // BUCKET_MS
        seen = now_ms * 1000 - self.media_us(rtp_time)
        if self.quickest and self.quickest[-1][0] == bucket:
            self.quickest[-1] = (bucket, min(seen, self.quickest[-1][1]))
        else:
            self.quickest.append((bucket, seen))
        while len(self.quickest) > WINDOW_MS // BUCKET_MS:
            self.quickest.popleft()

    @property
    def clock_offset_us(self) -> int:
        """Return the offset that the server's clock asks for."""
        if not self.quickest:
            return self.offset_us
        return min(seen for _, seen in self.quickest)

    @property
    def is_window_full(self) -> bool:
        """True when the clock has been watched long enough to judge a large error."""
        return self.quickest is not None and len(self.quickest) >= WINDOW_MS // BUCKET_MS

    def slew(self, rtp_time: int, target_us: int, slew_ppm: int) -> None:
        """Move the offset towards `target_us` by what the time since the last unit allows."""
        elapsed = max(0, rtp_time - self.slewed_rtp) * _US // self.clock_rate
        self.slewed_rtp = max(self.slewed_rtp, rtp_time)
        error = target_us - self.offset_us
        if not self.slewing_ppm and abs(error) <= self.dead_band_us:
            return
        # What began fast ends fast.
        self.slewing_ppm = max(self.slewing_ppm, slew_ppm)
        step = min(elapsed, GAP_MS * 1000) * self.slewing_ppm // _US
        self.offset_us += max(-step, min(step, error))
        if abs(target_us - self.offset_us) <= SETTLED_US:
            self.slewing_ppm = 0


class Timeline:
    """One publisher session's media timeline, or several in a row: it never goes back."""

    def __init__(self, floor_ms: int) -> None:
        """Begin no earlier than `floor_ms`, whatever the clock says (docs/metering.md, "Time")."""
        self._floor_ms = floor_ms
        self._video: _Clock | None = None
        self._audio: _Clock | None = None
        self._reports: dict[Track, SenderReport] = {}
        self._video_ms = floor_ms - 1
        self._audio_time = floor_ms * AUDIO_TIMESCALE // 1000 - 1
        self._audio_step = 0
        self._has_begun = False
        self._hold_ms = floor_ms - LEAD_BEGIN_MS
        self._is_sound_held = False
        self._order = _DecodeOrder()

    def report(self, report: SenderReport) -> None:
        """Take note of a sender report; the newest of each track counts."""
        self._reports[report.track] = report

    def video(self, unit: AccessUnit, now_ms: int) -> Placed:
        """Place a video unit.

        Args:
            unit: Units of one track come in decoding order.
            now_ms: The server's clock at arrival.

        Returns:
            Whole milliseconds, later than every video unit before.
        """
        if now_ms < self._hold_ms:
            return Placed(self._video_ms, is_discontinuity=False, is_left_out=True)
        strayed, is_discontinuity = None, False
        if self._video is None:
            lead = self._lead_us(self._audio)
            if not self._has_begun:
                lead = max(0, self._floor_ms - now_ms) * 1000
            self._video = _anchor(unit, now_ms * 1000 + lead, now_ms, VIDEO_DEAD_BAND_US)
            self._has_begun = True
        elif self._is_broken(self._video, unit, now_ms):
            is_discontinuity = True
            strayed = _strayed(self._video, unit, now_ms)
            start_ms = self._start_again(now_ms)
            self._video = _anchor(unit, start_ms * 1000, now_ms, VIDEO_DEAD_BAND_US)
        clock = self._video
        rtp_time = self._order.decode_time(unit.rtp_time)
        clock.observe(rtp_time, now_ms)
        clock.slew(rtp_time, clock.clock_offset_us, SLEW_PPM)
        clock.newest_rtp = max(clock.newest_rtp, unit.rtp_time)
        time = max(clock.place(rtp_time, 1000), self._video_ms + 1)
        if time > now_ms + LEAD_MAX_MS:
            return self._cut(clock, unit, time, now_ms)
        self._video_ms = time
        return Placed(time, is_discontinuity, strayed=strayed)

    def audio(self, unit: AccessUnit, now_ms: int) -> Placed:
        """Place an audio unit on the same timeline.

        A hole in the sound of a show with a picture is no discontinuity: silence fills it.

        Returns:
            1/48000 s since the Unix epoch, later than every audio unit before.
        """
        if now_ms < self._hold_ms:
            return Placed(self._audio_time, is_discontinuity=False, is_left_out=True)
        strayed, is_discontinuity = None, False
        clock = self._audio
        if clock is None:
            lead = self._lead_us(self._video)
            if self._is_sound_held and now_ms + lead // 1000 < self._sound_end_ms:
                return Placed(self._audio_time, is_discontinuity=False, is_left_out=True)
            self._is_sound_held = False
            if not self._has_begun:
                lead = max(0, self._floor_ms - now_ms) * 1000
            clock = _anchor(unit, now_ms * 1000 + lead, now_ms, AUDIO_DEAD_BAND_US)
            self._has_begun = True
        elif self._is_broken(clock, unit, now_ms):
            if self._video is None:
                strayed, is_discontinuity = _strayed(clock, unit, now_ms), True
                clock = _anchor(unit, self._start_again(now_ms) * 1000, now_ms, AUDIO_DEAD_BAND_US)
            elif not self._is_mute_ending(clock, unit, now_ms):
                strayed = _strayed(clock, unit, now_ms)
                lead = self._lead_us(self._video)
                clock = _anchor(unit, now_ms * 1000 + lead, now_ms, AUDIO_DEAD_BAND_US)
        else:
            clock.observe(unit.rtp_time, now_ms)
            target = self._audio_target_us(clock)
            far = self._video is not None and abs(target - clock.offset_us) > LIP_SYNC_US
            clock.slew(unit.rtp_time, target, FAST_SLEW_PPM if far else SLEW_PPM)
        self._audio = clock
        if 0 < unit.rtp_time - clock.newest_rtp < clock.clock_rate // 5:
            step = (unit.rtp_time - clock.newest_rtp) * AUDIO_TIMESCALE // clock.clock_rate
            self._audio_step = step
        clock.newest_rtp = max(clock.newest_rtp, unit.rtp_time)
        time = max(clock.place(unit.rtp_time, AUDIO_TIMESCALE), self._audio_time + 1)
        if time > (now_ms + LEAD_MAX_MS) * AUDIO_TIMESCALE // 1000:
            return self._cut(clock, unit, time, now_ms)
        self._audio_time = time
        return Placed(time, is_discontinuity, strayed=strayed)

    def _is_broken(self, clock: _Clock, unit: AccessUnit, now_ms: int) -> bool:
        jump = unit.rtp_time - clock.newest_rtp
        if abs(jump) * 1000 > GAP_MS * clock.clock_rate:
            return True
        # The RTP clock stopped while time went on (a publisher that was suspended).
        behind_us = now_ms * 1000 - clock.media_us(unit.rtp_time) - clock.offset_us
        return (
            clock.is_window_full
            and behind_us > GAP_MS * 1000
            and clock.clock_offset_us - clock.offset_us > GAP_MS * 1000
        )

    def _is_mute_ending(self, clock: _Clock, unit: AccessUnit, now_ms: int) -> bool:
        """Return whether sound comes back where the clock expects it, though later than usual."""
        clock_us = now_ms * 1000 + self._lead_us(self._video)
        here_us = clock.media_us(unit.rtp_time) + clock.offset_us
        if abs(clock_us - here_us) > GAP_MS * 1000:
            return False
        clock.quickest = None
        clock.observe(unit.rtp_time, now_ms)
        return True

    def _cut(self, clock: _Clock, unit: AccessUnit, time: int, now_ms: int) -> Placed:
        """Give up a mapping that has run ahead of the clock, and what comes until it is there.

        Sound that runs ahead of its picture is cut alone: silence fills the hole.
        """
        media_ms = clock.media_us(unit.rtp_time) // 1000
        strayed = Strayed(unit.track, media_ms, now_ms - clock.began_ms)
        is_alone = self._video is not None and self._lead_us(self._video) <= LEAD_BEGIN_MS * 1000
        if unit.track is Track.AUDIO and is_alone:
            self._audio, self._is_sound_held = None, True
            return Placed(time, is_discontinuity=False, is_left_out=True, strayed=strayed)
        self._hold_ms = self._start_again(now_ms)
        return Placed(time, is_discontinuity=True, is_left_out=True, strayed=strayed)

    def _start_again(self, now_ms: int) -> int:
        """Forget all mappings; return where time goes on: now, and after everything before."""
        self._video = self._audio = None
        self._order = _DecodeOrder()
        self._reports.clear()
        return max(now_ms, self._video_ms + 1, self._sound_end_ms)

    @property
    def _sound_end_ms(self) -> int:
        return -(-(self._audio_time + self._audio_step) * 1000 // AUDIO_TIMESCALE)

    def _lead_us(self, clock: _Clock | None) -> int:
        """Return by how much the timeline is ahead of the server's clock, by this track."""
        return 0 if clock is None else clock.offset_us - clock.clock_offset_us

    def _audio_target_us(self, audio: _Clock) -> int:
        arrival_us = audio.clock_offset_us + self._lead_us(self._video)
        video = self._video
        if video is None or len(self._reports) < len(Track):
            return arrival_us
        # The instant of the audio report, on the video's RTP clock, then on the timeline.
        audio_report, video_report = self._reports[Track.AUDIO], self._reports[Track.VIDEO]
        video_us = video.media_us(video_report.rtp_time) + video.offset_us
        audio_us = video_us + round((audio_report.ntp_s - video_report.ntp_s) * _US)
        report_us = audio_us - audio.media_us(audio_report.rtp_time)
        # A report that contradicts what arrives by more than a gap is wrong, not the world.
        return report_us if abs(report_us - arrival_us) < GAP_MS * 1000 else arrival_us


class _DecodeOrder:
    """Display times in decoding order -> as many growing times.

    While times only grow nothing is changed. The first time that a time runs back, the depth of the
    reordering becomes known, and from then on each unit gets the smallest time not yet given, put
    forward by that depth: the n-th picture shown gets the time of the n-th that came.
    """

    def __init__(self) -> None:
        self.depth = 0
        self._held: list[int] = []
        self._recent: deque[int] = deque(maxlen=REORDER_DEPTH_MAX)

    def decode_time(self, rtp_time: int) -> int:
        """Return the RTP time to place this unit at."""
        later = sum(1 for other in self._recent if other > rtp_time)
        self._recent.append(rtp_time)
        if later > self.depth:
            self.depth = later
            self._held = sorted(self._recent)[-later - 1 :]
        elif self.depth:
            heapq.heappush(self._held, rtp_time)
        else:
            return rtp_time
        # As many times are held back as frames are late, so what comes out is that much early.
        steps = sorted(later - sooner for sooner, later in pairwise(sorted(self._recent)))
        return heapq.heappop(self._held) + self.depth * steps[len(steps) // 2]


def _anchor(unit: AccessUnit, time_us: int, now_ms: int, dead_band_us: int) -> _Clock:
    clock = _Clock(
        unit.clock_rate, unit.rtp_time, time_us, dead_band_us, unit.rtp_time, unit.rtp_time, now_ms
    )
    clock.observe(unit.rtp_time, now_ms)
    return clock


def _strayed(clock: _Clock, unit: AccessUnit, now_ms: int) -> Strayed | None:
    """Return how a mapping left the clock; None when as much time had passed as it says."""
    strayed = Strayed(unit.track, clock.media_us(unit.rtp_time) // 1000, now_ms - clock.began_ms)
    return strayed if abs(strayed.media_ms - strayed.real_ms) > GAP_MS else None
