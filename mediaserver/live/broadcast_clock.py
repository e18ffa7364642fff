"""When things happen in a broadcast: where its frames are placed, and where they cut.

Holds the timeline, the segmenter and the keyframe policy of one stream, and what they must know of
each other. Gives values back; what is done with them is broadcast's. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from mediaserver.hls.segmenter import PartBegan, PartEnded, Segmenter, SegmenterEvent
from mediaserver.hls.settings import HlsSettings
from mediaserver.live.keyframe_policy import KeyframePolicy
from mediaserver.live.timeline import Placed, Timeline
from mediaserver.media import AUDIO_TIMESCALE, AccessUnit, SenderReport, Track
from mediaserver.parameter_sets import ParameterSets

STILL_MS: Final = 1300
"""A picture that has stopped this long ago no longer holds up the sound. The timeline takes it for
a discontinuity when it comes back (GAP_MS), so that it comes back with an IDR."""
PICTURE_WAIT_S: Final = 3.0
"""Sound alone for so long, and not one frame of the picture that was offered: it does not come.
Encoders send both at once; one whose keyframe is late sends other frames until then."""
OPUS_MS: Final = 20
FILLED_MS: Final = 100
"""An Opus packet may be this much longer than 20 ms; silence begins later (`audio_wait_ms`)."""
MUTE_MS: Final = 1000
"""Longest hole in a sound-only show that silence fills; a longer one is absent time."""
_PER_MS: Final = AUDIO_TIMESCALE // 1000


@dataclass(frozen=True, slots=True)
class PictureCut:
    """What one frame of the publisher's video ends and begins.

    Attributes:
        events: Cuts, in order.
        begins_segment: A segment begins with it: every transcoded rendition makes an IDR of it.
        wants_keyframe: The publisher has to be asked for one.
        is_switched: Whether the source is encoded again has changed with it.
    """

    events: tuple[SegmenterEvent, ...]
    begins_segment: bool
    wants_keyframe: bool
    is_switched: bool


class BroadcastClock:
    """Timeline and cuts of one stream, over all sessions of its publisher.

    Attributes:
        has_video: The present publisher's pictures drive the cuts; else its sound does.
        lacks_picture: It offered a picture and sends none.
        ignores_picture: It sends a picture, and the show has none.
    """

    def __init__(self, settings: HlsSettings, audio_wait_ms: int) -> None:
        self.has_video = False
        self.lacks_picture = False
        self.ignores_picture = False
        self._has_picture = False
        self._sound_from_s: float | None = None
        self._settings = settings
        self._audio_wait_ms = audio_wait_ms
        self._timeline = Timeline(0)
        self._segmenter = Segmenter(settings, 0)
        self._keyframes = KeyframePolicy()
        self._parameter_sets = ParameterSets()
        self._owes_break = False
        self._was_filled = False
        self._last_video_ms = 0
        self._last_sound: tuple[int, float] | None = None
        self._audio_end = 0
        self._filled_ms = 0
        self._placed_ms = 0
        self._media_end_ms = 0

    @property
    def msn(self) -> int:
        """Return the number of the newest segment, one less than the first before there is one."""
        return self._segmenter.msn

    @property
    def longest_ms(self) -> int:
        """Return how long a segment may be."""
        return self._segmenter.longest_ms

    @property
    def frame_end_ms(self) -> int:
        """Return where the newest frame ends if it is as long as the one before it."""
        return self._segmenter.frame_end_ms

    @property
    def gop_ms(self) -> int:
        """Return the newest distance of two keyframes of the publisher, 0 while unknown."""
        return self._keyframes.gop_ms

    @property
    def late_gop_ms(self) -> int:
        """Return the distance for which the source is encoded again, 0 without."""
        return self._keyframes.late_gop_ms

    @property
    def is_reencoding(self) -> bool:
        """True while the source is to be an encode."""
        return self._keyframes.is_reencoding

    def begin(self, floor_ms: int, has_video: bool, is_obeyed: bool = False) -> None:
        """Begin a timeline for a publisher that has just connected, no earlier than `floor_ms`.

        With `is_obeyed` it answers requests for keyframes.
        """
        self.has_video = has_video
        self.lacks_picture = self._has_picture = False
        self._sound_from_s = None
        self._timeline = Timeline(floor_ms)
        self._keyframes.meet(is_obeyed=is_obeyed)
        self._last_sound = None

    def continue_at(self, first_msn: int) -> None:
        """Number segments from here on: the show was begun by another worker. Time breaks."""
        self._segmenter = Segmenter(self._settings, first_msn)
        self._owes_break = True

    def finish(self) -> tuple[SegmenterEvent, ...]:
        """End part and segment where the newest frame ends."""
        return self._held(self._segmenter.finish(self._segmenter.frame_end_ms))

    def fill(self, start_ms: int) -> tuple[tuple[SegmenterEvent, ...], bool]:
        """Return what a picture of ours, shown at `start_ms`, cuts, and if it begins a segment."""
        self._segmenter.is_filler = True
        self._last_video_ms = start_ms
        events = self._segmenter.frame(start_ms, is_idr=True)
        return events, any(_begins_segment(event, start_ms) for event in events)

    def end_fill(self, at_ms: int) -> tuple[SegmenterEvent, ...]:
        """End what is filled: a publisher's picture begins a segment here."""
        self._was_filled = True
        return self._segmenter.finish(at_ms)

    def break_time(self, is_show_open: bool) -> None:
        """Note that time has jumped: what comes next is a discontinuity if a show is open."""
        self._owes_break = is_show_open
        self._media_end_ms = self._placed_ms
        self._keyframes.begin()

    def report(self, report: SenderReport) -> None:
        """Take note of the publisher's clocks."""
        self._timeline.report(report)

    def place(self, unit: AccessUnit, now_ms: int, now_s: float) -> Placed:
        """Place an access unit on the timeline; units of one track come in decoding order.

        `now_ms` is Unix time, `now_s` monotonic time of the same instant.
        """
        if unit.track is Track.VIDEO:
            self._has_picture, self.lacks_picture = True, False
            return self._timeline.video(unit, now_ms)
        placed = self._timeline.audio(unit, now_ms)
        self._last_sound = None if placed.is_left_out else (placed.time, now_s)
        self._placed_ms = placed.time // _PER_MS + OPUS_MS
        if not (placed.is_discontinuity or placed.is_left_out):
            self._media_end_ms = self._placed_ms
        return placed

    def gives_up_on_picture(self, now_s: float, *, is_begun: bool) -> bool:
        """Return True, once, when sound has come for `PICTURE_WAIT_S` without any picture.

        Asked at each unit of sound; from then on the sound makes the cuts. A show that `is_begun`
        with a picture waits for it, and only `lacks_picture` tells.
        """
        if not self.has_video or self._has_picture:
            return False
        if self._sound_from_s is None:
            self._sound_from_s = now_s
        self.lacks_picture = now_s - self._sound_from_s >= PICTURE_WAIT_S
        self.has_video = is_begun or not self.lacks_picture
        return not self.has_video

    def cut_by_picture(self, unit: AccessUnit, start_ms: int, must_encode: bool) -> PictureCut:
        """Return what a frame of the publisher's video, placed at `start_ms`, ends and begins.

        With `must_encode` the source cannot be passed through (B-frames).
        """
        policy, segmenter = self._keyframes, self._segmenter
        was_reencoding = policy.is_reencoding
        decision = policy.decide(start_ms, unit.is_idr, segmenter, must_encode)
        self._parameter_sets.take(unit.payload)
        is_format_new = unit.is_idr and self._parameter_sets.adopt(unit.payload)
        is_break = self._owes_break or decision.is_break
        is_open = segmenter.slot is not None or self._was_filled
        is_break = is_break or (is_format_new and is_open)
        self._owes_break = self._was_filled = segmenter.is_filler = False
        self._last_video_ms = start_ms
        events = segmenter.frame(start_ms, decision.is_idr or is_format_new, is_break)
        return PictureCut(
            events,
            begins_segment=any(_begins_segment(event, start_ms) for event in events),
            wants_keyframe=decision.is_asking,
            is_switched=policy.is_reencoding != was_reencoding,
        )

    def encoding_began(self) -> None:
        """Note that the pipeline encodes the source by itself, from the newest frame on."""
        self._keyframes.is_reencoding = True

    def cut_by_sound(self, start_ms: int) -> tuple[SegmenterEvent, ...] | None:
        """Return what an AAC frame at `start_ms` cuts; None while the picture makes the cuts."""
        if not self.has_video:
            self._segmenter.is_filler = False
            is_break, self._owes_break = self._owes_break, False
            return self._held(
                self._segmenter.frame(start_ms, is_idr=True, is_discontinuity=is_break)
            )
        if self._segmenter.slot is not None and start_ms - self._last_video_ms > STILL_MS:
            return self._segmenter.pass_time(start_ms)
        return None

    def audio_made(self, until: int) -> None:
        """Note that there is AAC up to `until` (1/48000 s)."""
        self._audio_end = until

    def _held(self, events: tuple[SegmenterEvent, ...]) -> tuple[SegmenterEvent, ...]:
        """Note where the publisher's sound ended in parts that silence of ours fills up."""
        if self.has_video:
            return events
        end_ms = self._media_end_ms
        return tuple(
            replace(event, held_ms=max(event.slot.start_ms, end_ms))
            if isinstance(event, PartEnded) and event.end_ms > end_ms + FILLED_MS
            else event
            for event in events
        )

    def silences(self, part_ends_ms: Iterable[int], now_s: float) -> Iterator[int]:
        """Yield up to where (1/48000 s) silence is due because no sound came.

        `part_ends_ms` are the ends of parts that have waited for sound for `audio_wait_ms`, in
        order; `now_s` is monotonic time.
        """
        if self.has_video:
            for end_ms in part_ends_ms:
                if end_ms > self._filled_ms and self._audio_end < end_ms * _PER_MS:
                    self._filled_ms = end_ms
                    yield end_ms * _PER_MS
        elif self._last_sound is not None:
            time, at_s = self._last_sound
            since_ms = min(round((now_s - at_s) * 1000), MUTE_MS)
            if since_ms > self._audio_wait_ms:
                yield time + (since_ms - self._audio_wait_ms) * _PER_MS


def _begins_segment(event: SegmenterEvent, start_ms: int) -> bool:
    return isinstance(event, PartBegan) and event.slot.part == 0 and event.slot.start_ms == start_ms
