"""One stream's show in a worker: from the publisher's access units to link messages.

Composes timeline, segmenter, pipeline and show; decides nothing of theirs. Its own matter is what
the publisher's comings, goings, breaks and silences mean for the show, and when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.h264 import PPS, SPS, nal_type
from mediaserver.hls.segmenter import PartBegan, Segmenter, SegmenterEvent
from mediaserver.ipc.link import Health, Message
from mediaserver.live.health import ShowFacts, report
from mediaserver.live.keyframe_policy import KeyframePolicy
from mediaserver.live.publication import StateFile
from mediaserver.live.show_state import ShowFile
from mediaserver.live.show_writer import Show
from mediaserver.live.timeline import Timeline
from mediaserver.media import (
    AAC_FRAME_SAMPLES,
    AUDIO_TIMESCALE,
    AccessUnit,
    AudioFormat,
    Sample,
    SenderReport,
    Track,
    VideoFormat,
)
from mediaserver.settings.records import Settings
from mediaserver.transcode.pipeline import Outlet, Pipeline
from mediaserver.transcode.settings import TranscodeSettings

POLL_S: Final = 0.05
"""Waits are judged this often: a third of the shortest, `audio_wait_ms`."""
HEALTH_S: Final = 2.0
STILL_MS: Final = 1300
"""A picture that stands still this long no longer holds up the sound. The timeline takes it for a
discontinuity when it comes back (GAP_MS), so that it comes back with an IDR."""
MUTE_MS: Final = 1000
"""Longest hole in a sound-only show that silence fills; a longer one is absent time."""
DRAIN_S: Final = 1.0
"""What is under way when the publisher goes gets this long to come out of the codecs."""
_PER_MS: Final = AUDIO_TIMESCALE // 1000

_log = log.get("show")


class MediaPipeline(Protocol):
    """What is needed of transcode's `Pipeline`; its contract is there."""

    @property
    def has_b_frames(self) -> bool:
        """True when the source cannot be passed through."""

    def start(self, has_video: bool, has_audio: bool) -> None:
        """Say which tracks come."""

    def push_video(self, unit: AccessUnit, time_ms: int, force_idr: bool) -> None:
        """Take one access unit."""

    def push_audio(self, unit: AccessUnit, time: int) -> None:
        """Take one Opus packet."""

    def fill_audio(self, until: int) -> None:
        """Make AAC up to here."""

    def reencode_source(self, is_on: bool) -> None:
        """Encode the source, or pass it through."""

    def renditions(self) -> tuple[str, ...]:
        """Names, best first."""

    def restart(self) -> None:
        """Begin afresh."""

    def close(self) -> None:
        """End the threads."""

    async def drain(self, timeout_s: float) -> bool:
        """Wait for what is under way."""


PipelineMaker = Callable[[TranscodeSettings, asyncio.AbstractEventLoop, Outlet], MediaPipeline]


class Broadcast:
    """The show of one stream. Ingest's `PublisherSink` and transcode's `Outlet`.

    All methods belong to the event loop.
    """

    def __init__(
        self,
        *,
        stream: UUID,
        slug: str,
        settings: Settings,
        clock: Clock,
        publish: Callable[[Message], None],
        request_keyframe: Callable[[], None],
        ingest_facts: Callable[[], tuple[dict[str, float], tuple[str, ...]]],
        on_over: Callable[[], None],
        make_pipeline: PipelineMaker = Pipeline,
        state_file: StateFile | None = None,
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._clock = clock
        self._request_keyframe = request_keyframe
        self._ingest_facts = ingest_facts
        self._on_over = on_over
        self._make_pipeline = make_pipeline
        path = Path(settings.server.data_dir) / "shows" / f"{stream}.json"
        self._show = Show(
            stream=stream,
            slug=slug,
            settings=settings.hls,
            clock=clock,
            publish=publish,
            file=state_file or ShowFile(path),
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._ends_at_s: float | None = None
        self._health_at_s = 0.0

        self._sessions = 0
        self._has_publisher = False
        self._has_video = False
        self._is_video_ignored = False
        self._pipeline: MediaPipeline | None = None
        self._timeline = Timeline(0)
        self._segmenter = Segmenter(settings.hls, 0)
        self._keyframes = KeyframePolicy()
        self._parameter_sets: tuple[bytes, ...] = ()
        self._owes_break = False
        self._last_video_ms = 0
        self._last_sound: tuple[int, float] | None = None
        self._audio_end = 0
        self._filled_ms = 0
        self._frames_dropped = 0

    async def start(self) -> None:
        """Read what was kept of the stream, and begin to watch the time."""
        await self._show.load()
        ingest = self._settings.ingest
        self._end_in(max(ingest.reconnect_wait_s, ingest.connect_timeout_s))
        self._spawn(self._watch())

    @property
    def show(self) -> int | None:
        """Return the show's number, None before it has one."""
        return self._show.number

    @property
    def newest_planned_tick(self) -> int | None:
        """Return the newest second that any address of the stream may claim, None before any."""
        return self._show.newest_planned_tick

    def replay(self) -> Sequence[Message]:
        """Return what an HTTP process that has just connected must be told."""
        return self._show.replay()

    def health(self) -> Health:
        """Return how the show does, in numbers and in words for its creator."""
        state = "live" if self._has_publisher and self._show.is_open else "waiting"
        top = self._show.top
        facts = ShowFacts(
            state="ended" if self._show.is_over else state,
            renditions=len(self._show.told),
            frame_rate_milli=top.frame_rate_milli if top else 0,
            source_bps=top.newest_bps if top else 0,
            gop_ms=self._keyframes.gop_ms,
            is_reencoding=self._keyframes.is_reencoding,
            has_b_frames=self._pipeline is not None and self._pipeline.has_b_frames,
            frames_dropped=self._frames_dropped,
            is_video_ignored=self._is_video_ignored,
        )
        return report(facts, *self._ingest_facts())

    # What ingest tells.

    def publisher_connected(
        self, session_id: str, tracks: frozenset[Track], user_agent: str
    ) -> None:
        """A publisher has the stream: the show opens with its media, or goes on."""
        if self._show.is_over:
            return
        self._close_timeline()
        first_msn = self._show.resume(self._settings.ingest.reconnect_wait_s)
        if first_msn is not None:
            self._segmenter = Segmenter(self._settings.hls, first_msn)
            self._owes_break = True
        self._is_video_ignored = Track.VIDEO in tracks and self._show.is_audio_only
        self._has_video = Track.VIDEO in tracks and not self._is_video_ignored
        self._timeline = Timeline(self._show.floor_ms)
        self._keyframes.begin()
        self._last_sound = None
        if self._pipeline is None:
            loop = asyncio.get_running_loop()
            self._pipeline = self._make_pipeline(self._settings.transcode, loop, self)
        else:
            self._pipeline.restart()
        self._pipeline.start(self._has_video, Track.AUDIO in tracks)
        self._sessions += 1
        self._has_publisher = True
        self._ends_at_s = None
        _log.info(
            "show.publisher.connected",
            stream_id=str(self._stream),
            session_id=session_id,
            user_agent=user_agent,
            show=self.show,
        )

    def access_unit(self, unit: AccessUnit) -> None:
        """Take one frame of the present publisher."""
        if self._pipeline is None or not self._has_publisher or self._show.is_over:
            return
        if unit.track is Track.AUDIO:
            self._take_sound(unit, self._pipeline)
        elif self._has_video:
            self._take_picture(unit, self._pipeline)

    def sender_report(self, report: SenderReport) -> None:
        """Take the present publisher's clocks."""
        self._timeline.report(report)

    def publisher_gone(self, session_id: str, reason: str) -> None:
        """End what is open; the show waits for the publisher to come back."""
        if not self._has_publisher:
            return
        self._has_publisher = False
        self._end_in(self._settings.ingest.reconnect_wait_s)
        end_ms = self._segmenter.frame_end_ms
        self._apply(self._segmenter.finish(end_ms))
        if self._pipeline is not None:
            if self._show.is_open:
                self._pipeline.fill_audio(end_ms * _PER_MS)
            self._spawn(self._settle(self._pipeline))
        self._tell_health()
        _log.info(
            "show.publisher.gone",
            stream_id=str(self._stream),
            session_id=session_id,
            reason=reason,
            show=self.show,
            msn=self._segmenter.msn,
        )

    # What the pipeline tells.

    def sample(self, rendition: str, sample: Sample) -> None:
        """Take one sample; audio goes into every rendition."""
        if sample.track is Track.AUDIO:
            self._audio_end = sample.time + AAC_FRAME_SAMPLES
            self._cut_by_sound(sample.time // _PER_MS)
        self._show.add(rendition, sample)
        if not self._show.told:
            self._tell_renditions()

    def video_format(self, rendition: str, video_format: VideoFormat) -> None:
        """Samples of this rendition are of another format from now on."""
        self._show.output(rendition).video_format(video_format)

    def audio_format(self, audio_format: AudioFormat) -> None:
        """Audio is of this format."""
        self._show.audio_format(audio_format)

    def dropped(self, rendition: str, frames: int) -> None:
        """Count frames that will not come: their parts go without them."""
        self._frames_dropped += frames
        _log.debug("show.frames.dropped", rendition=rendition, frames=frames)

    # Time.

    def poll(self) -> None:
        """Do what is due: silence, parts that waited too long, health, the end. Each `POLL_S`."""
        now_s = self._clock.monotonic()
        self._fill_silence(now_s)
        self._show.give_up_on_late()
        self._tell_renditions()
        if now_s - self._health_at_s >= HEALTH_S:
            self._tell_health()
        if self._ends_at_s is not None and now_s >= self._ends_at_s:
            self._ends_at_s = None
            self._spawn(self._end_show())

    async def drain(self, end_show: bool) -> None:
        """Finish what is open and flush; the process is about to end.

        Args:
            end_show: Tell ENDLIST; else the show is left to be continued by another worker.
        """
        self.publisher_gone("", "drained")
        if self._pipeline is not None:
            await self._pipeline.drain(DRAIN_S)
        self._show.finish_outputs()
        if end_show:
            await self._end_show()
        await self._show.flushed()
        for task in tuple(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._pipeline is not None:
            self._pipeline.close()

    async def _watch(self) -> None:
        while not self._show.is_over:
            await asyncio.sleep(POLL_S)
            try:
                self.poll()
            except Exception:  # noqa: BLE001  a fault in one look must not end the looking
                _log.exception("show.poll.failed", stream_id=str(self._stream))

    async def _settle(self, pipeline: MediaPipeline) -> None:
        """Let what is under way come out, unless a publisher is back before."""
        session = self._sessions
        await pipeline.drain(DRAIN_S)
        if self._sessions == session:
            self._show.finish_outputs()

    async def _end_show(self) -> None:
        if self._show.is_over:
            return
        self._show.finish_outputs()
        self._show.is_over = True
        await self._show.end(self.health())
        if self._pipeline is not None:
            self._pipeline.close()
        self._on_over()

    def _end_in(self, wait_s: float) -> None:
        self._ends_at_s = self._clock.monotonic() + wait_s

    # Media.

    def _take_picture(self, unit: AccessUnit, pipeline: MediaPipeline) -> None:
        placed = self._timeline.video(unit, self._clock.now_ms())
        if placed.is_discontinuity:
            self._break(pipeline)
        policy, segmenter, start_ms = self._keyframes, self._segmenter, placed.time
        was_reencoding = policy.is_reencoding
        decision = policy.decide(start_ms, unit.is_idr, segmenter, pipeline.has_b_frames)
        if decision.is_asking:
            self._request_keyframe()
        is_format_new = unit.is_idr and self._is_format_new(unit)
        is_break = self._owes_break or decision.is_break
        is_break = is_break or (is_format_new and segmenter.slot is not None)
        self._owes_break = False
        self._last_video_ms = start_ms
        events = segmenter.frame(start_ms, decision.is_idr or is_format_new, is_break)
        self._apply(events)
        if policy.is_reencoding != was_reencoding:
            pipeline.reencode_source(policy.is_reencoding)
            _log.warning(
                "show.source.switched",
                stream_id=str(self._stream),
                is_reencoding=policy.is_reencoding,
                gop_ms=policy.gop_ms,
            )
        begins_segment = any(_begins_segment(event, start_ms) for event in events)
        pipeline.push_video(unit, start_ms, begins_segment)
        if begins_segment and pipeline.has_b_frames:
            policy.is_reencoding = True  # It has begun by itself, from this frame on.
        self._open_outputs(pipeline)

    def _take_sound(self, unit: AccessUnit, pipeline: MediaPipeline) -> None:
        placed = self._timeline.audio(unit, self._clock.now_ms())
        if placed.is_discontinuity and not self._has_video:
            self._break(pipeline)
        self._last_sound = (placed.time, self._clock.monotonic())
        pipeline.push_audio(unit, placed.time)

    def _cut_by_sound(self, start_ms: int) -> None:
        """Let sound drive the cuts where no picture does."""
        if self._pipeline is None or not self._has_publisher:
            return
        if not self._has_video:
            is_break, self._owes_break = self._owes_break, False
            self._apply(self._segmenter.frame(start_ms, is_idr=True, is_discontinuity=is_break))
            self._open_outputs(self._pipeline)
        elif self._segmenter.slot is not None and start_ms - self._last_video_ms > STILL_MS:
            self._apply(self._segmenter.pass_time(start_ms))
        else:
            return
        self._show.skip_video(start_ms)

    def _is_format_new(self, unit: AccessUnit) -> bool:
        sets = tuple(nal for nal in unit.payload if nal_type(nal) in {SPS, PPS})
        is_new = bool(sets) and sets != self._parameter_sets
        self._parameter_sets = sets or self._parameter_sets
        return is_new

    def _break(self, pipeline: MediaPipeline) -> None:
        """Time leaps: end what is open, and begin afresh."""
        self._close_timeline()
        pipeline.restart()
        self._keyframes.begin()
        _log.warning("hls.stream.discontinued", stream_id=str(self._stream), show=self.show)

    def _close_timeline(self) -> None:
        self._apply(self._segmenter.finish(self._segmenter.frame_end_ms))
        self._show.finish_outputs()
        self._owes_break = self._show.is_open

    def _apply(self, events: Sequence[SegmenterEvent]) -> None:
        self._show.apply(events, self._segmenter.longest_ms, self._has_video)

    def _open_outputs(self, pipeline: MediaPipeline) -> None:
        if self._show.is_open:
            for name in pipeline.renditions():
                self._show.output(name)

    # What is due.

    def _fill_silence(self, now_s: float) -> None:
        if self._pipeline is None or not self._show.is_open:
            return
        wait_ms = self._settings.transcode.audio_wait_ms
        if self._has_video:
            for end_ms in self._show.ends_older_than(wait_ms):
                if end_ms > self._filled_ms and self._audio_end < end_ms * _PER_MS:
                    self._filled_ms = end_ms
                    self._pipeline.fill_audio(end_ms * _PER_MS)
        elif self._last_sound is not None and self._has_publisher:
            time, at_s = self._last_sound
            since_ms = min(round((now_s - at_s) * 1000), MUTE_MS)
            if since_ms > wait_ms:
                self._pipeline.fill_audio(time + (since_ms - wait_ms) * _PER_MS)

    def _tell_renditions(self) -> None:
        if self._pipeline is not None:
            self._show.tell_renditions(self._pipeline.renditions())

    def _tell_health(self) -> None:
        self._health_at_s = self._clock.monotonic()
        if not self._show.is_over:
            self._show.tell_health(self.health())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _begins_segment(event: SegmenterEvent, start_ms: int) -> bool:
    return isinstance(event, PartBegan) and event.slot.part == 0 and event.slot.start_ms == start_ms
