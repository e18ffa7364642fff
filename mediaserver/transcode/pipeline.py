"""From placed access units to samples of every rendition.

Drives: the source is passed through on the event loop; what has to be decoded or made is handed to
threads (`codec_threads`) and comes back to the loop. Decides what is dropped first when they are
too slow: whole stretches up to the next keyframe, counted. Where samples are in time was decided by
`timeline`, where segments begin by `hls.segmenter`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from mediaserver import log
from mediaserver.errors import MediaFormatError
from mediaserver.h264 import NalUnits, is_b_slice
from mediaserver.media import (
    AAC_FRAME_SAMPLES,
    AUDIO_TIMESCALE,
    AccessUnit,
    AudioFormat,
    Sample,
    Track,
    VideoFormat,
)
from mediaserver.transcode.codec_threads import (
    AudioWorker,
    Begin,
    DecodeWorker,
    EndStep,
    Fill,
    LoopPost,
    Mark,
    Preroll,
    Sound,
    Unit,
)
from mediaserver.transcode.countdown import Countdown
from mediaserver.transcode.ladder import Step, ladder, top_step
from mediaserver.transcode.samples import SampleMaker
from mediaserver.transcode.settings import TranscodeSettings
from metering.log_throttle import LogThrottle

SOURCE: Final = "source"
AUDIO: Final = "audio"
GOP_UNITS_MAX: Final = 900
"""Access units kept to begin decoding at: 30 s at 30 per second; OBS' longest GOP is 8 s."""
GOP_BYTES_MAX: Final = 32 << 20
SOUNDS_MAX: Final = 1000
"""Opus packets that may wait: 20 s. Past that the machine is stuck, not slow."""
EARLY_SOUNDS_MAX: Final = 50
"""Opus packets kept until the first picture is there: 1 s."""
_CLOSE_S: Final = 2.0

_log = log.get("transcode")


class Outlet(Protocol):
    """Where everything goes; always called on the event loop."""

    def sample(self, rendition: str, sample: Sample) -> None:
        """Take one sample; audio comes once, for the rendition ``audio``."""

    def video_format(self, rendition: str, video_format: VideoFormat) -> None:
        """Take the format of the samples that follow; the next one is an IDR."""

    def audio_format(self, audio_format: AudioFormat) -> None:
        """Take the format of the audio samples that follow."""

    def dropped(self, rendition: str, frames: int) -> None:
        """Count frames of a rendition that will not come."""


class Pipeline:
    """One publisher's media, in all renditions. All methods belong to the event loop."""

    _maker: SampleMaker
    _has_b_frames: bool

    def __init__(
        self, settings: TranscodeSettings, loop: asyncio.AbstractEventLoop, outlet: Outlet
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._outlet = outlet
        self._has_video = False
        self._has_audio = False
        self._is_ready = False
        self._audio_end = 0
        self._formats: dict[str, VideoFormat] = {}
        self._audio_format: AudioFormat | None = None
        self._is_encode_wanted = False
        self._steps: tuple[Step, ...] = ()
        self._rejections = LogThrottle()
        self._fresh()

    def start(self, has_video: bool, has_audio: bool) -> None:
        """Set which tracks the publisher sends; media may follow."""
        self._has_video = has_video
        self._has_audio = has_audio

    @property
    def has_b_frames(self) -> bool:
        """True when the publisher's pictures are reordered, so the source has to be encoded.

        That is done without being asked, from the next `force_idr` on; the creator gets advice.
        """
        return self._has_b_frames

    def renditions(self) -> tuple[str, ...]:
        """Return the names, best first, ``audio`` last; empty until the first IDR (or sound)."""
        if not self._has_video:
            return (AUDIO,) if self._is_audio_begun else ()
        if not self._is_ready:
            return ()
        return (SOURCE, *(step.name for step in self._steps), AUDIO)

    def push_video(self, unit: AccessUnit, time_ms: int, force_idr: bool) -> None:
        """Take one H.264 access unit.

        Args:
            unit: In decoding order. Before the first IDR it is ignored.
            time_ms: Its place on the timeline, later than the last one.
            force_idr: A segment begins here: every transcoded rendition makes an IDR of it.
        """
        nals = unit.payload
        try:
            kept, is_idr, is_changed = self._maker.make(nals)
        except MediaFormatError as error:
            if times := self._rejections.failed(str(error)):
                _log.warning("transcode.format.rejected", reason=str(error), times=times)
            self._outlet.dropped(SOURCE, 1)
            self._maker = SampleMaker()  # Nothing can be used before a good IDR.
            return
        if not kept or self._maker.format is None:
            return
        if is_changed:
            self._adopt_format()
        if not self._has_b_frames and any(is_b_slice(nal) for nal in nals):
            self._has_b_frames = True
        self._choose_top(is_idr, force_idr)
        payload = self._maker.decodable(nals) if is_idr else nals
        if self._top is None:
            self._pass_through(Sample(Track.VIDEO, kept, time_ms, is_idr))
            self._keep(payload, time_ms, is_idr)
        self._feed(payload, time_ms, is_idr, force_idr)
        self._begin_audio(time_ms * AUDIO_TIMESCALE // 1000)
        if not self._has_audio:
            self.fill_audio(time_ms * AUDIO_TIMESCALE // 1000)

    def push_audio(self, unit: AccessUnit, time: int) -> None:
        """Take one Opus packet that sounds from `time` (1/48000 s) on."""
        sound = Sound(unit.payload[0], time)
        if not self._has_video:
            self._begin_audio(time)
        if not self._is_audio_begun:
            self._early.append(sound)
        elif self._audio.queue.qsize() >= SOUNDS_MAX:
            self._outlet.dropped(AUDIO, 1)
        else:
            self._audio.queue.put(sound)

    def fill_audio(self, until: int) -> None:
        """Make AAC up to `until` (1/48000 s): of silence where nothing came.

        The samples follow soon, in order, after those of the sound that was pushed before.
        """
        if self._is_audio_begun and self._audio.queue.qsize() < SOUNDS_MAX:
            self._audio.queue.put(Fill(until))

    def reencode_source(self, is_on: bool) -> None:
        """Make the top rendition an encode, or pass it through again.

        On: from the next unit pushed, whose picture is an IDR with a format of its own. Off: from
        the next IDR of the source.
        """
        self._is_encode_wanted = is_on

    def restart(self) -> None:
        """Begin afresh at a discontinuity: new codecs, and what is under way is dropped."""
        self._stop_workers()
        self._fresh()

    def close(self) -> None:
        """End the threads; the outlet gets nothing any more."""
        self._stop_workers()
        for worker in (self._decode, self._audio):
            if worker is not None and worker.ident is not None:
                worker.join(_CLOSE_S)

    async def drain(self, timeout_s: float) -> bool:
        """Wait until all that was pushed has come out; return False if that took too long."""
        count = Countdown()
        if self._decode is not None:
            count.expect(1)
            self._decode.queue.put(self._mark(count))
        if self._is_audio_begun:
            count.expect(1)
            self._audio.queue.put(self._mark(count))
        if self._held is not None:
            # The decoder that ends after a switch back is no longer ours, and is not done.
            count.expect(1)
            self._awaiting_release.append(count)
        try:
            await asyncio.wait_for(count.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def emit_video(self, name: str, sample: Sample, video_format: VideoFormat | None) -> None:
        """For the workers: hand on one picture, its format first when that is another."""
        if video_format is not None and self._formats.get(name) != video_format:
            self._formats[name] = video_format
            self._outlet.video_format(name, video_format)
        self._outlet.sample(name, sample)

    def emit_audio_format(self, audio_format: AudioFormat) -> None:
        """For the workers: hand on what the AAC is, when that is another."""
        if self._audio_format != audio_format:
            self._audio_format = audio_format
            self._outlet.audio_format(audio_format)

    def emit_audio(self, sample: Sample) -> None:
        """For the workers: hand on one AAC frame."""
        self._audio_end = sample.time + AAC_FRAME_SAMPLES
        self._outlet.sample(AUDIO, sample)

    def emit_lost(self, name: str, frames: int) -> None:
        """For the workers: count what a codec could not use."""
        self._outlet.dropped(name, frames)

    def _fresh(self) -> None:
        self._maker = SampleMaker()
        self._has_b_frames = False
        self._top: Step | None = None
        self._held: deque[tuple[Sample, VideoFormat | None]] | None = None
        self._awaiting_release: list[Countdown] = []
        self._gop: list[tuple[NalUnits, int]] = []
        self._gop_bytes = 0
        self._decode: DecodeWorker | None = None
        self._is_dropping = False
        self._is_idr_owed = False
        self._post = LoopPost(self._loop, self)
        self._audio = AudioWorker(self._settings.audio_kbps, self._post)
        self._is_audio_begun = False
        self._early: deque[Sound] = deque(maxlen=EARLY_SOUNDS_MAX)

    def _stop_workers(self) -> None:
        self._post.close()
        self._audio.stop()
        if self._decode is not None:
            self._decode.stop()

    def _adopt_format(self) -> None:
        """Choose the ladder for another size; what viewers know stays."""
        facts, video = self._maker.facts, self._maker.format
        if facts is None or video is None:
            return
        self._is_ready = True
        known = frozenset(step.name for step in self._steps)
        self._steps = ladder(
            video.width, video.height, self._settings.rungs, known, facts.sample_aspect
        )
        if facts.reorder_frames is not None:
            self._has_b_frames = facts.reorder_frames > 0
        if self._top is not None:
            self._top = self._top_step()

    def _top_step(self) -> Step:
        video = self._maker.format
        facts = self._maker.facts
        width, height = (video.width, video.height) if video else (2, 2)
        aspect = facts.sample_aspect if facts else (1, 1)
        return top_step(SOURCE, width, height, self._settings.top_rung_kbps, aspect)

    def _choose_top(self, is_idr: bool, force_idr: bool) -> None:
        """Switch the top rendition between encode and passthrough where that can be done."""
        if self._top is None:
            is_due = self._is_encode_wanted or (self._has_b_frames and force_idr)
            # The last switch back may still be under way.
            if is_due and self._held is None:
                self._top = self._top_step()
                if self._decode is None:
                    self._preroll(is_idr)
        elif is_idr and not self._is_encode_wanted and not self._has_b_frames:
            self._top = None
            self._held = deque()
            decode = self._decoder()
            decode.queue.put(EndStep(SOURCE, self._release))
            if not self._steps:
                decode.queue.put(None)
                self._decode = None

    def _preroll(self, is_idr: bool) -> None:
        """Bring a new decoder to where the source is."""
        if is_idr:
            return
        if self._gop:
            self._decoder().queue.put(Preroll(tuple(self._gop)))
            self._gop = []
        else:
            # Too much to keep: nothing can be decoded before the next IDR.
            self._is_dropping = True

    def _pass_through(self, sample: Sample) -> None:
        video_format = self._maker.format if sample.is_idr else None
        if self._held is None:
            self.emit_video(SOURCE, sample, video_format)
            return
        if len(self._held) > self._settings.queue_frames_max:
            self._outlet.dropped(SOURCE, len(self._held))
            self._held.clear()
        if self._held or sample.is_idr:
            self._held.append((sample, video_format))
        else:
            self._outlet.dropped(SOURCE, 1)

    def _release(self) -> None:
        """Let out what was passed through while the last encoded pictures were on their way."""
        held, self._held = self._held, None
        for sample, video_format in held or ():
            self.emit_video(SOURCE, sample, video_format)
        while self._awaiting_release:
            self._awaiting_release.pop().reached()

    def _keep(self, payload: NalUnits, time_ms: int, is_idr: bool) -> None:
        """Keep the units since the last IDR, while no decoder runs that would know them."""
        if is_idr:
            self._gop = []
            self._gop_bytes = 0
        if self._decode is not None or self._steps or (not is_idr and not self._gop):
            self._gop = []
            return
        self._gop.append((payload, time_ms))
        self._gop_bytes += sum(map(len, payload))
        if len(self._gop) > GOP_UNITS_MAX or self._gop_bytes > GOP_BYTES_MAX:
            self._gop = []

    def _feed(self, payload: NalUnits, time_ms: int, is_idr: bool, force_idr: bool) -> None:
        """Hand a unit to the decoder when anybody needs its picture."""
        steps = ((self._top,) if self._top else ()) + self._steps
        if not steps:
            return
        waiting = self._decode.queue.qsize() if self._decode else 0
        queue_max = self._settings.queue_frames_max
        if self._is_dropping and is_idr and waiting <= queue_max // 2:
            self._is_dropping = False
        elif not self._is_dropping and waiting >= queue_max:
            self._is_dropping = True
            _log.warning("transcode.frame.dropped", waiting=waiting, until="next keyframe")
        if self._is_dropping:
            self._is_idr_owed |= force_idr
            for step in steps:
                self._outlet.dropped(step.name, 1)
            return
        is_idr_wanted = force_idr or self._is_idr_owed
        self._is_idr_owed = False
        self._decoder().queue.put(Unit(payload, time_ms, is_idr_wanted, steps))

    def _decoder(self) -> DecodeWorker:
        if self._decode is None:
            rate = self._maker.facts.frame_rate_milli if self._maker.facts else 0
            self._decode = DecodeWorker(self._settings.preset, rate, self._post)
            self._decode.start()
        return self._decode

    def _begin_audio(self, position: int) -> None:
        if self._is_audio_begun:
            return
        self._is_audio_begun = True
        self._audio.start()
        # Silence made before a discontinuity may reach past it.
        self._audio.queue.put(Begin(max(position, self._audio_end)))
        for sound in self._early:
            self._audio.queue.put(sound)
        self._early.clear()

    def _mark(self, count: Countdown) -> Mark:
        post = self._post
        return Mark(
            lambda more: post.call(lambda: count.expect(more)),
            lambda: post.call(count.reached),
        )
