"""One rendition: samples and cuts in, messages for HTTP processes out.

Holds back what comes before the formats are known, and measures what the multivariant playlist must
list of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from mediaserver.hls.packager import Packager
from mediaserver.hls.segmenter import PartEnded
from mediaserver.ipc.messages import InitMade, Message, PartMade, SegmentEnded
from mediaserver.live.health import frame_rate_milli
from mediaserver.media import AudioFormat, Part, Rendition, Sample, Slot, Track, VideoFormat

BACKLOG_MAX: Final = 4000
"""Samples and cuts held until formats are known, which takes milliseconds: half a minute."""
MEASURED_SEGMENTS: Final = 15
"""Peak and mean are taken over these: half a minute of default segments."""
BANDWIDTH_STEP_BPS: Final = 10_000


class RenditionWriter:
    """One rendition of a show.

    Attributes:
        name: Its name in addresses.
        has_video: It shows a picture.
        has_part: Its first part was published.
    """

    def __init__(
        self, name: str, origin_ms: int, has_video: bool, publish: Callable[[Message], None]
    ) -> None:
        self.name = name
        self.has_video = has_video
        self.has_part = False
        self._origin_ms = origin_ms
        self._publish = publish
        self._video: VideoFormat | None = None
        self._first_video: VideoFormat | None = None
        self._audio: AudioFormat | None = None
        self._packager: Packager | None = None
        self._backlog: deque[Callable[[Packager], tuple[Part, ...]]] = deque(maxlen=BACKLOG_MAX)
        self._announced = ""
        self._ends: deque[tuple[Slot, int]] = deque()
        self._open_us = 0
        self._open_bytes = 0
        self._measured: deque[tuple[int, int]] = deque(maxlen=MEASURED_SEGMENTS)
        self._frame_times: deque[int] = deque(maxlen=121)

    @property
    def waits_from_ms(self) -> int | None:
        """Return the end of the oldest part that is not complete, None when none waits."""
        return self._packager.waits_from_ms if self._packager else None

    @property
    def is_measured(self) -> bool:
        """True once two whole segments were measured."""
        return len(self._measured) > 1

    @property
    def frame_rate_milli(self) -> int:
        """Return frames per 1000 s of late, 0 without video."""
        times = self._frame_times
        return frame_rate_milli(len(times) - 1, times[-1] - times[0]) if len(times) > 1 else 0

    @property
    def newest_bps(self) -> int:
        """Return bits per second of the newest segment."""
        return (
            _bps(*self._measured[-1]) if self._measured else _bps(self._open_bytes, self._open_us)
        )

    def describe(self) -> Rendition:
        """Return what the multivariant playlist says; bandwidths rounded up."""
        spans = list(self._measured) or [(self._open_bytes, self._open_us)]
        peak = max(_bps(*span) for span in spans)
        mean = _bps(sum(size for size, _ in spans), sum(us for _, us in spans))
        video = self._video if self.has_video else None
        codecs = tuple(known.codec for known in (video, self._audio) if known is not None)
        return Rendition(
            name=self.name,
            codecs=codecs,
            bandwidth_bps=-(-peak // BANDWIDTH_STEP_BPS) * BANDWIDTH_STEP_BPS,
            average_bandwidth_bps=-(-mean // BANDWIDTH_STEP_BPS) * BANDWIDTH_STEP_BPS,
            width=video.width if video else 0,
            height=video.height if video else 0,
            frame_rate_milli=self.frame_rate_milli if video else 0,
        )

    def video_format(self, video: VideoFormat) -> None:
        """Samples that follow are of this format."""
        self._video = video
        if self._first_video is None:
            self._first_video = video
            self._make_packager()
        else:
            self._do(lambda packager: _changed(packager, video))

    def audio_format(self, audio: AudioFormat) -> None:
        """Audio samples are of this format; it does not change in a show."""
        self._audio = self._audio or audio
        self._make_packager()

    def begin(self, slot: Slot) -> None:
        """A part opens."""
        self._do(lambda packager: packager.begin(slot))

    def end(self, event: PartEnded, is_last: bool) -> None:
        """A part ends, and with it its segment if it `is_last`."""
        if is_last:
            self._ends.append((event.slot, event.end_ms))
        self._do(
            lambda packager: packager.end(
                event.slot,
                event.end_ms,
                is_last=is_last,
                has_frames=event.has_frames,
                held_ms=event.held_ms,
            )
        )

    def add(self, sample: Sample) -> None:
        """Take one sample."""
        if sample.track is Track.VIDEO:
            self._frame_times.append(sample.time)
        self._do(lambda packager: packager.add(sample))

    def skip_video(self, until_ms: int) -> None:
        """Wait no longer for video before `until_ms`."""
        self._do(lambda packager: packager.skip_video(until_ms))

    def skip(self, until_ms: int) -> None:
        """Wait no longer for anything before `until_ms`."""
        self.skip_video(until_ms)
        self._do(lambda packager: packager.skip_audio(until_ms))

    def finish(self) -> None:
        """Give out what there is of parts that have ended: time breaks here."""
        self._frame_times.clear()
        self._do(lambda packager: packager.finish())

    def _make_packager(self) -> None:
        if self._packager is not None or self._audio is None:
            return
        if self.has_video and self._first_video is None:
            return
        video = self._first_video if self.has_video else None
        self._packager = Packager(self.name, self._origin_ms, video, self._audio)
        while self._backlog:
            self._give(self._backlog.popleft()(self._packager))

    def _do(self, step: Callable[[Packager], tuple[Part, ...]]) -> None:
        if self._packager is None:
            self._backlog.append(step)
        else:
            self._give(step(self._packager))

    def _give(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            self._announce_init(part)
            self._publish(PartMade(part))
            self.has_part = True
            self._open_us += part.duration_us
            self._open_bytes += len(part.payload)
            if self._ends and self._ends[0][0] == part.slot:
                self._end_segment(part)

    def _announce_init(self, part: Part) -> None:
        """Publish an init before the first part that needs it."""
        if self._packager is None or part.init_hash == self._announced:
            return
        self._announced = part.init_hash
        self._publish(InitMade(self.name, part.init_hash, self._packager.init_of(part.init_hash)))

    def _end_segment(self, part: Part) -> None:
        _, end_ms = self._ends.popleft()
        self._publish(SegmentEnded(self.name, part.slot.msn, end_ms, self._open_us))
        self._measured.append((self._open_bytes, self._open_us))
        self._open_bytes = self._open_us = 0


def _changed(packager: Packager, video: VideoFormat) -> tuple[Part, ...]:
    packager.change_video(video)
    return ()


def _bps(size_bytes: int, duration_us: int) -> int:
    return size_bytes * 8_000_000 // duration_us if duration_us > 0 else 0
