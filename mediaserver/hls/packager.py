"""Samples and cuts of one rendition to parts.

Decides when a part is complete and which samples it holds: those that start in its slot. Video and
audio may come in any order between each other, and before or after the cuts. Where cuts are made is
the segmenter's matter; how bytes look is `cmaf`'s.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from mediaserver.hls import cmaf
from mediaserver.hls.cmaf import AUDIO_TRACK, VIDEO_TRACK, ChunkSample, TrackRun
from mediaserver.hls.sound_track import SoundTrack
from mediaserver.media import (
    AAC_FRAME_SAMPLES,
    AudioFormat,
    Part,
    Sample,
    Slot,
    Track,
    VideoFormat,
)

SAMPLES_MAX: Final = 4000
"""Samples of one track that wait for their cut: a minute of video at 60 frames a second."""
INITS_MAX: Final = 16
"""Formats that parts under way may still need; a browser changes size a few times a minute."""
_VIDEO_PER_MS: Final = 90
_AUDIO_PER_MS: Final = 48


@dataclass(slots=True)
class _Open:
    slot: Slot
    end_ms: int | None = None
    is_last: bool = False
    has_frames: bool = False
    held_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Frame:
    sample: Sample
    init_hash: str


class Packager:
    """The samples that wait, and the slots that are not yet parts.

    Attributes:
        dropped: Samples left out: late, without a decodable start, or of another init than the
            segment's.
    """

    def __init__(
        self,
        rendition: str,
        origin_ms: int,
        video: VideoFormat | None,
        audio: AudioFormat | None,
    ) -> None:
        self._dropped = 0
        self._rendition = rendition
        self._origin_ms = origin_ms
        self._has_video = video is not None
        self._audio_format = audio
        self._init = _init_of(video, audio)
        self._inits = dict([self._init])
        self._slots: deque[_Open] = deque()
        self._video: deque[_Frame] = deque()
        self._sound = SoundTrack(audio) if audio is not None else None
        self._done_ms: int | None = None
        self._skip_ms = 0
        self._skip_audio_ms = 0
        self._needs_idr = True
        self._has_hole = True
        self._segment_has_video = False
        self._is_finishing = False
        self._sequence = 0
        self._segment = -1
        self._segment_ms = 0
        self._segment_init = ""
        self._last_init = ""
        self._segment_audio: tuple[int, int] = (0, 0)

    @property
    def dropped(self) -> int:
        """Return how many samples were left out."""
        return self._dropped + (self._sound.dropped if self._sound is not None else 0)

    @property
    def init(self) -> tuple[str, bytes]:
        """Return hash and bytes of the init that samples added from now on need."""
        return self._init

    def init_of(self, init_hash: str) -> bytes:
        """Return the init that a part which was just made names."""
        return self._inits[init_hash]

    @property
    def waits_from_ms(self) -> int | None:
        """Return where the oldest part that is not complete ended, None when none waits."""
        return self._slots[0].end_ms if self._slots else None

    def change_video(self, video: VideoFormat) -> None:
        """Samples added from now on are of this format: its init holds from the next segment on."""
        self._init = _init_of(video, self._audio_format)
        self._inits.pop(self._init[0], None)
        self._inits[self._init[0]] = self._init[1]
        if len(self._inits) > INITS_MAX:
            del self._inits[next(iter(self._inits))]

    def begin(self, slot: Slot) -> tuple[Part, ...]:
        """A part opens. Returns the parts now complete."""
        if self._done_ms is None:
            self._done_ms = slot.start_ms
        self._slots.append(_Open(slot))
        return self._complete()

    def end(
        self,
        slot: Slot,
        end_ms: int,
        *,
        is_last: bool = False,
        has_frames: bool = False,
        held_ms: int | None = None,
    ) -> tuple[Part, ...]:
        """A part ends, and its segment if it `is_last`. Returns the parts now complete.

        Args:
            has_frames: The source has some in it: a part without is one that was not made in time.
            held_ms: Where the publisher's media end in it; None: at `end_ms`.
        """
        for waiting in self._slots:
            if waiting.slot == slot:
                waiting.end_ms, waiting.is_last = end_ms, is_last
                waiting.has_frames, waiting.held_ms = has_frames, held_ms
        return self._complete()

    def add(self, sample: Sample) -> tuple[Part, ...]:
        """Take a sample; those of one track come in order. Returns the parts now complete."""
        if sample.track is Track.AUDIO:
            if self._sound is not None:
                self._sound.add(sample)
        elif self._has_video:
            self._add_video(sample)
        return self._complete()

    def skip_video(self, until_ms: int) -> tuple[Part, ...]:
        """Wait no longer for video that starts before `until_ms`: it has stopped or was dropped.

        What still comes from there is left out, and the picture goes on at an IDR.

        Returns:
            The parts now complete, without video where there was none.
        """
        self._skip_ms = max(self._skip_ms, until_ms)
        return self._complete()

    def skip_audio(self, until_ms: int) -> tuple[Part, ...]:
        """Wait no longer for audio that starts before `until_ms`. Returns the parts complete."""
        self._skip_audio_ms = max(self._skip_audio_ms, until_ms)
        return self._complete()

    def finish(self) -> tuple[Part, ...]:
        """Return the parts of all slots that have ended, with what there is."""
        self._is_finishing = True
        parts = self._complete()
        self._is_finishing = False
        return parts

    def _add_video(self, sample: Sample) -> None:
        if self._done_ms is not None and sample.time < self._done_ms:
            self._needs_idr = self._has_hole = True
            self._dropped += 1
            return
        if (self._needs_idr and not sample.is_idr) or len(self._video) >= SAMPLES_MAX:
            self._needs_idr = self._has_hole = True
            self._dropped += 1
            return
        self._needs_idr = False
        self._video.append(_Frame(sample, self._init[0]))

    def _complete(self) -> tuple[Part, ...]:
        parts: list[Part] = []
        while self._slots:
            waiting = self._slots[0]
            end_ms = waiting.end_ms
            if end_ms is None or not (self._is_finishing or self._is_covered(end_ms)):
                break
            self._slots.popleft()
            parts.append(self._make(waiting, end_ms))
            self._done_ms = end_ms
        return tuple(parts)

    def _is_covered(self, end_ms: int) -> bool:
        if len(self._slots) < 2:
            # Only the next slot tells whether time goes on where this part ends.
            return False
        sound_ms = self._skip_audio_ms
        if self._sound is not None and max(sound_ms, self._sound.end // _AUDIO_PER_MS) < end_ms:
            return False
        if not self._has_video or self._skip_ms >= end_ms:
            return True
        return bool(self._video) and self._video[-1].sample.time >= end_ms

    def _make(self, waiting: _Open, end_ms: int) -> Part:
        slot = waiting.slot
        if slot.msn != self._segment:
            self._segment = slot.msn
            self._segment_ms = slot.start_ms
            self._segment_audio = (0, 0)
            self._segment_init = ""
            self._segment_has_video = False
        video = self._take_video(slot, end_ms)
        audio: list[Sample] = []
        if self._sound is not None:
            is_given_up = self._skip_audio_ms >= end_ms
            audio = self._sound.take(slot.start_ms, end_ms, is_given_up=is_given_up)
        runs = []
        if video:
            base = (video[0].sample.time - self._origin_ms) * _VIDEO_PER_MS
            runs.append(TrackRun(VIDEO_TRACK, base, self._with_durations(video, end_ms)))
        if audio:
            base = audio[0].time - self._origin_ms * _AUDIO_PER_MS
            samples = tuple(ChunkSample(s.payload, AAC_FRAME_SAMPLES, is_sync=True) for s in audio)
            runs.append(TrackRun(AUDIO_TRACK, base, samples))
        self._sequence += 1
        duration_us = (end_ms - slot.start_ms) * 1000
        if not self._has_video:
            segment_us = (end_ms - self._segment_ms) * 1000 if waiting.is_last else None
            duration_us = self._audio_duration_us(len(audio), segment_us)
        return Part(
            rendition=self._rendition,
            slot=slot,
            end_ms=end_ms,
            duration_us=duration_us,
            is_independent=video[0].sample.is_idr if video else not self._has_video,
            init_hash=self._segment_init,
            payload=cmaf.make_chunk(self._sequence, runs),
            is_gap=not video and waiting.has_frames and self._is_missing(),
            held_ms=waiting.held_ms,
        )

    def _is_missing(self) -> bool:
        """True when pictures of a part without any were not made in time.

        Where time breaks, a part of a few frames may be without: its segment is whole but for them.
        """
        is_torn = self._is_finishing and self._segment_has_video
        return self._has_video and self._has_hole and not is_torn

    def _take_video(self, slot: Slot, end_ms: int) -> list[_Frame]:
        taken: list[_Frame] = []
        while self._video and self._video[0].sample.time < end_ms:
            frame = self._video.popleft()
            if not self._segment_init:
                self._segment_init = frame.init_hash
            # One segment has one init (EXT-X-MAP comes before segments, not parts).
            is_kept = frame.init_hash == self._segment_init and frame.sample.time >= slot.start_ms
            if is_kept:
                taken.append(frame)
                self._has_hole, self._segment_has_video = False, True
            else:
                self._dropped += 1
        if not self._segment_init:
            self._segment_init = self._init_without_video(slot)
        self._last_init = self._segment_init
        if not self._video and (self._is_finishing or self._skip_ms >= end_ms):
            # The last frame was given an end, so there is a hole after it.
            self._needs_idr = self._has_hole = True
        return taken

    def _init_without_video(self, slot: Slot) -> str:
        """Return the init of a segment whose first part has no frame.

        That is the next frame's if it is still in this segment, else the one before.
        """
        following = [waiting.slot for waiting in self._slots if waiting.slot.msn != slot.msn]
        if self._video and all(self._video[0].sample.time < s.start_ms for s in following):
            return self._video[0].init_hash
        return self._last_init or self._init[0]

    def _with_durations(self, video: list[_Frame], end_ms: int) -> tuple[ChunkSample, ...]:
        """Each frame lasts until the next; the last of a part may run into the next part."""
        times = [frame.sample.time for frame in video]
        # Browsers drop frames after a hole, so a long frame runs on until the next one, unless
        # time breaks there or the next one is not known.
        last_end_ms = end_ms
        is_continuous = bool(self._slots) and self._slots[0].slot.start_ms == end_ms
        if self._video and is_continuous:
            last_end_ms = self._video[0].sample.time
        ends = [*times[1:], last_end_ms]
        return tuple(
            ChunkSample(
                frame.sample.payload,
                (end - frame.sample.time) * _VIDEO_PER_MS,
                frame.sample.is_idr,
            )
            for frame, end in zip(video, ends, strict=True)
        )

    def _audio_duration_us(self, frames: int, segment_us: int | None) -> int:
        """Return what this part adds to the segment, `segment_us` in all when it is its last.

        Floored at each part's end: a playlist that promises a microsecond more than the buffer gets
        makes hls.js stall. The last part takes what is left, less than a frame more or less than
        it holds, so that the parts' durations sum up to EXTINF.
        """
        before, before_us = self._segment_audio
        after = before + frames
        after_us = after * AAC_FRAME_SAMPLES * 1_000_000 // (_AUDIO_PER_MS * 1000)
        if segment_us is not None:
            after_us = max(before_us, segment_us)
        self._segment_audio = (after, after_us)
        return after_us - before_us


def _init_of(video: VideoFormat | None, audio: AudioFormat | None) -> tuple[str, bytes]:
    init = cmaf.make_init(video, audio)
    return cmaf.init_hash(init), init
