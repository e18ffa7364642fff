"""One stream's show in a worker: from the publisher's access units to messages for HTTP processes.

Composes broadcast clock, pipeline and show; decides nothing of theirs. Its own matter is what the
publisher's comings, goings, breaks and silences mean for the show, and when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.hls.segmenter import SegmenterEvent
from mediaserver.ingest.encoder import obeys_keyframe_requests
from mediaserver.ingest.session import EndReason
from mediaserver.ipc.messages import Health, Message
from mediaserver.live.broadcast_clock import BroadcastClock
from mediaserver.live.filler import Filler
from mediaserver.live.health import Upload, report
from mediaserver.live.media_pipeline import MediaPipeline, PipelineMaker
from mediaserver.live.publication import StateFile
from mediaserver.live.show_report import show_facts
from mediaserver.live.show_state import ShowFile
from mediaserver.live.show_writer import ShowWriter
from mediaserver.live.stray_time import StrayTime
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
from mediaserver.transcode.pipeline import Pipeline

POLL_S: Final = 0.05
"""Waits are judged this often: a third of the shortest, `audio_wait_ms`."""
HEALTH_S: Final = 2.0
DRAIN_S: Final = 1.0
"""What is under way when the publisher goes gets this long to come out of the codecs."""
_PER_MS: Final = AUDIO_TIMESCALE // 1000


class Broadcast:
    """The show of one stream, on the event loop: `PublisherSink` and transcode's `Outlet`."""

    def __init__(
        self,
        *,
        stream: UUID,
        slug: str,
        settings: Settings,
        clock: Clock,
        publish: Callable[[Message], None],
        request_keyframe: Callable[[], None],
        ingest_facts: Callable[[], Upload],
        on_over: Callable[[], None],
        end_publisher: Callable[[EndReason], None] = lambda _: None,
        make_pipeline: PipelineMaker = Pipeline,
        state_file: StateFile | None = None,
    ) -> None:
        self._log = log.get("show").bind(stream_id=str(stream))
        self._settings = settings
        self._clock = clock
        self._request_keyframe = request_keyframe
        self._ingest_facts = ingest_facts
        self._on_over = on_over
        self._make_pipeline = make_pipeline
        path = Path(settings.server.data_dir) / "shows" / f"{stream}.json"
        self._show = ShowWriter(
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
        self._is_restarting = False
        self._pipeline: MediaPipeline | None = None
        self._media_clock = BroadcastClock(settings.hls, settings.transcode.audio_wait_ms)
        self._stray_time = StrayTime(self._log, end_publisher)
        self._filler = Filler()

    async def start(self) -> None:
        """Read what was kept of the stream, and begin to watch the time."""
        await self._show.load()
        ingest = self._settings.ingest
        wait_s = max(ingest.reconnect_wait_s, ingest.connect_timeout_s)
        self._ends_at_s = self._clock.monotonic() + wait_s
        self._spawn(self._watch())

    @property
    def writer(self) -> ShowWriter:
        """Return the show itself: what is planned of it, and what was cut short."""
        return self._show

    def health(self) -> Health:
        """Return how the show does, in numbers and in words for its creator."""
        absent = "restarting" if self._is_restarting else "waiting"
        state = "live" if self._has_publisher and self._show.is_open else absent
        facts = show_facts(
            "ended" if self._show.is_over else state,
            self._show,
            self._media_clock,
            self._pipeline,
            self._stray_time,
            self._clock,
        )
        return report(facts, *self._ingest_facts())

    # From ingest.

    def publisher_connected(
        self, session_id: str, tracks: frozenset[Track], user_agent: str
    ) -> None:
        """A publisher has the stream: the show opens with its media, or goes on."""
        if self._show.is_over:
            return
        is_filled = self._filler.is_on and Track.VIDEO in tracks
        if not is_filled:
            self._close_timeline()
        first_msn = self._show.resume(self._settings.ingest.reconnect_wait_s)
        if first_msn is not None:
            self._media_clock.continue_at(first_msn)
        ignores_picture = Track.VIDEO in tracks and self._show.is_audio_only
        has_video = Track.VIDEO in tracks and not ignores_picture
        is_obeyed = obeys_keyframe_requests(user_agent)
        floor_ms = max(self._show.floor_ms, self._filler.floor_ms)
        self._media_clock.begin(floor_ms, has_video, is_obeyed)
        self._media_clock.ignores_picture = ignores_picture
        self._stray_time.begin()
        if self._pipeline is None:
            loop = asyncio.get_running_loop()
            self._pipeline = self._make_pipeline(self._settings.transcode, loop, self)
        elif not is_filled:
            self._pipeline.restart()
        self._pipeline.start(has_video, Track.AUDIO in tracks)
        self._sessions += 1
        self._has_publisher, self._is_restarting = True, False
        self._ends_at_s = None
        if first_msn is not None:
            self._announce_health()  # HTTP processes hold questions for a show until this.
        facts = {"session_id": session_id, "user_agent": user_agent, "show": self._show.number}
        self._log.info("show.publisher.connected", **facts)

    def access_unit(self, unit: AccessUnit) -> None:
        """Take one frame of the present publisher."""
        if self._pipeline is None or not self._has_publisher or self._show.is_over:
            return
        if unit.track is Track.AUDIO:
            self._take_sound(unit, self._pipeline)
        elif self._media_clock.has_video:
            self._take_picture(unit, self._pipeline)
        elif self._media_clock.lacks_picture:
            # It came after all, into a show that began without.
            self._media_clock.lacks_picture, self._media_clock.ignores_picture = False, True

    def sender_report(self, report: SenderReport) -> None:
        """Take the present publisher's clocks."""
        self._media_clock.report(report)

    def publisher_gone(self, session_id: str, reason: str) -> None:
        """End what is open; the show waits for the publisher to come back."""
        if not self._has_publisher:
            return
        self._has_publisher = False
        # "drained" is ours, and no publisher's: nobody is told that the creator left.
        self._is_restarting = reason == EndReason.DRAINED
        self._ends_at_s = self._clock.monotonic() + self._settings.ingest.reconnect_wait_s
        end_ms = self._media_clock.frame_end_ms
        self._apply(self._media_clock.finish())
        if self._pipeline is not None:
            if self._show.is_open:
                self._pipeline.fill_audio(end_ms * _PER_MS)
            goes_on = self._show.is_open and reason not in (EndReason.DRAINED, EndReason.MEMORY)
            if goes_on and self._media_clock.has_video and self._filler.begin(end_ms):
                self._fill_picture()
            else:
                self._spawn(self._settle(self._pipeline, reason))
        self._announce_health()
        facts = {"session_id": session_id, "reason": reason, "msn": self._media_clock.msn}
        self._log.info("show.publisher.gone", show=self._show.number, **facts)

    # From the pipeline.

    def sample(self, rendition: str, sample: Sample) -> None:
        """Take one sample; audio goes into every rendition."""
        if sample.track is Track.AUDIO:
            self._media_clock.audio_made(sample.time + AAC_FRAME_SAMPLES)
            self._cut_by_sound(sample.time // _PER_MS)
        self._show.add(rendition, sample)
        if not self._show.announced:
            self._announce_renditions()

    def video_format(self, rendition: str, video_format: VideoFormat) -> None:
        """Samples of this rendition are of another format from now on."""
        self._show.writer(rendition).video_format(video_format)

    def audio_format(self, audio_format: AudioFormat) -> None:
        """Audio is of this format."""
        self._show.audio_format(audio_format)

    def dropped(self, rendition: str, frames: int) -> None:
        """Count frames that will not come: their parts go without them."""
        self._show.frames_dropped += frames
        self._log.debug("show.frames.dropped", rendition=rendition, frames=frames)

    # Time.

    def poll(self) -> None:
        """Do what is due: silence, parts that waited too long, health, the end. Each `POLL_S`."""
        now_s = self._clock.monotonic()
        self._fill_picture()
        self._fill_silence(now_s)
        self._show.give_up_on_late()
        self._announce_renditions()
        if now_s - self._health_at_s >= HEALTH_S:
            self._announce_health()
        if self._ends_at_s is not None and now_s >= self._ends_at_s:
            self._ends_at_s = None
            self._spawn(self._end_show())

    async def drain(self, end_show: bool) -> None:
        """Finish what is open and flush; the process is about to end.

        With `end_show` ENDLIST is published; else another worker may continue the show.
        """
        self.publisher_gone("", EndReason.DRAINED)
        self._filler.end()
        self._apply(self._media_clock.finish())
        if self._pipeline is not None:
            await self._pipeline.drain(DRAIN_S)
        self._show.finish_writers()
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
            except Exception:  # noqa: BLE001  a fault in one poll must not end polling
                self._log.exception("show.poll.failed")

    async def _settle(self, pipeline: MediaPipeline, reason: str) -> None:
        """Let what is under way come out, unless a publisher is back before."""
        session = self._sessions
        await pipeline.drain(DRAIN_S)
        if self._sessions == session:
            self._show.finish_writers()
            if reason == EndReason.MEMORY:  # codecs that took too much are not kept
                self._pipeline = None
                pipeline.close()

    async def _end_show(self) -> None:
        if self._show.is_over:
            return
        self._apply(self._media_clock.finish())
        self._show.finish_writers()
        self._show.is_over = True
        await self._show.end(self.health())
        if self._pipeline is not None:
            self._pipeline.close()
        self._on_over()

    # Media.

    def _take_picture(self, unit: AccessUnit, pipeline: MediaPipeline) -> None:
        media_clock = self._media_clock
        if self._filler.is_on and not unit.is_idr:
            self._request_keyframe()  # Ours is shown until then.
            return
        time_ms = self._place(unit, pipeline)
        if time_ms is None:
            return
        self._filler.note(unit)
        if self._filler.is_on:
            self._filler.end()
            self._apply(media_clock.end_fill(time_ms))
        cut = media_clock.cut_by_picture(unit, time_ms, pipeline.has_b_frames)
        if cut.wants_keyframe:
            self._request_keyframe()
        self._apply(cut.events)
        if cut.is_switched:
            pipeline.reencode_source(media_clock.is_reencoding)
            self._log.warning(
                "show.source.switched",
                is_reencoding=media_clock.is_reencoding,
                gop_ms=media_clock.gop_ms,
            )
        pipeline.push_video(unit, time_ms, cut.begins_segment)
        if cut.begins_segment and pipeline.has_b_frames:
            media_clock.encoding_began()
        self._open_writers(pipeline)

    def _take_sound(self, unit: AccessUnit, pipeline: MediaPipeline) -> None:
        now_s = self._clock.monotonic()
        if self._media_clock.gives_up_on_picture(now_s, is_begun=self._show.is_open):
            pipeline.start(has_video=False, has_audio=True)
            self._log.warning("show.picture.absent")
        if (time := self._place(unit, pipeline)) is not None:
            pipeline.push_audio(unit, time)

    def _place(self, unit: AccessUnit, pipeline: MediaPipeline) -> int | None:
        """Return where a unit is on the timeline, None when it is left out."""
        now_s = self._clock.monotonic()
        placed = self._media_clock.place(unit, self._clock.now_ms(), now_s)
        # A hole in the sound of a show with a picture is filled.
        is_filled = self._media_clock.has_video and unit.track is Track.AUDIO
        if placed.is_discontinuity and (placed.is_left_out or not is_filled):
            self._break(pipeline)
        if placed.strayed is not None:
            self._stray_time.note(placed.strayed, is_cut=placed.is_left_out, now_s=now_s)
        return None if placed.is_left_out else placed.time

    def _cut_by_sound(self, start_ms: int) -> None:
        if self._pipeline is None or not self._has_publisher:
            return
        events = self._media_clock.cut_by_sound(start_ms)
        if events is None:
            return
        self._apply(events)
        if not self._media_clock.has_video:
            self._open_writers(self._pipeline)
        self._show.skip_video(start_ms)

    def _break(self, pipeline: MediaPipeline) -> None:
        """Time jumps: end what is open, and begin afresh."""
        self._close_timeline()
        pipeline.restart()
        self._log.warning("hls.stream.discontinued", show=self._show.number)

    def _close_timeline(self) -> None:
        self._filler.end()
        self._apply(self._media_clock.finish())
        self._show.finish_writers()
        self._media_clock.break_time(self._show.is_open)

    def _apply(self, events: Sequence[SegmenterEvent]) -> None:
        self._show.apply(events, self._media_clock.longest_ms, self._media_clock.has_video)

    def _open_writers(self, pipeline: MediaPipeline) -> None:
        if self._show.is_open:
            for name in pipeline.renditions():
                self._show.writer(name)

    # What is due.

    def _fill_picture(self) -> None:
        if self._pipeline is not None and not self._show.is_over:
            now_ms = self._clock.now_ms()
            self._filler.go_on(now_ms, self._media_clock, self._pipeline, self._apply)

    def _fill_silence(self, now_s: float) -> None:
        if self._pipeline is None or not self._show.is_open:
            return
        if not self._media_clock.has_video and not self._has_publisher:
            return
        ends_ms = self._show.ends_older_than(self._settings.transcode.audio_wait_ms)
        for until in self._media_clock.silences(ends_ms, now_s):
            self._pipeline.fill_audio(until)

    def _announce_renditions(self) -> None:
        if self._pipeline is not None:
            self._show.announce_renditions(self._pipeline.renditions())

    def _announce_health(self) -> None:
        self._health_at_s = self._clock.monotonic()
        if not self._show.is_over:
            self._show.announce_health(self.health())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
