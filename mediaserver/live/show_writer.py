"""The show: its number, its segments as all renditions share them, and what is published of it.

Cuts and samples in, link messages out in the right order: nothing is published before the disk
knows which numbers and seconds it uses. Whose media it is, and where it is cut, is broadcast's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final
from uuid import UUID

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.hls import slots
from mediaserver.hls.segmenter import PartBegan, PartEnded, SegmentEnded, SegmenterEvent
from mediaserver.hls.settings import HlsSettings
from mediaserver.ipc.messages import (
    Health,
    Message,
    RenditionsSet,
    ShowEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.live.publication import Publication, StateFile
from mediaserver.live.rendition_writer import RenditionWriter
from mediaserver.live.replay_buffer import ReplayBuffer
from mediaserver.live.show_state import ShowState
from mediaserver.media import AudioFormat, Rendition, Sample, Slot, Track

AUDIO: Final = "audio"
LATE_S: Final = 4.0
"""No part waits longer for a slow rendition: the transcoder's queue holds three seconds."""
CUT_SHORT_MAX: Final = 256
"""Each is a break of time; so many while control is away are more than a show of hours has."""
FIRST_WAIT_S: Final = 1.5
"""The multivariant playlist waits this long for the slowest rendition's first part."""

_log = log.get("show")


@dataclass(frozen=True, slots=True)
class CutShort:
    """A part whose media ended, with nothing after them, before seconds that its address says.

    Attributes:
        show: Of which show.
        slot: Its plan.
        held_count: How many of its seconds hold media of the publisher, from the first on.
    """

    show: int
    slot: Slot
    held_count: int


class ShowWriter:
    """One show of a stream, and what was kept of the one before.

    Attributes:
        cut_short: Parts of this process that were cut short, oldest first; who has kept them takes
            them out.
        is_open: It has a number.
        is_over: It was ended.
        announced: The renditions as last published.
        frames_dropped: Frames that were too slow to make, all renditions together.
    """

    def __init__(
        self,
        *,
        stream: UUID,
        slug: str,
        settings: HlsSettings,
        clock: Clock,
        publish: Callable[[Message], None],
        file: StateFile,
    ) -> None:
        self.is_open = False
        self.is_over = False
        self.announced: tuple[Rendition, ...] = ()
        self.frames_dropped = 0
        self.cut_short: deque[CutShort] = deque(maxlen=CUT_SHORT_MAX)
        self._stream = stream
        self._slug = slug
        self._settings = settings
        self._clock = clock
        self._file = file
        self._replay = ReplayBuffer(settings.window_ms + 3000 * settings.target_duration_s)
        self._publication = Publication(file, publish, self._replay, clock=clock)
        self._state: ShowState | None = None
        self._opened_at_s = 0.0
        self._writers: dict[str, RenditionWriter] = {}
        self._audio_format: AudioFormat | None = None
        self._open_log: list[PartBegan | PartEnded] = []
        self._waits: deque[tuple[int, float]] = deque()
        self._newest_slot: Slot | None = None
        self._discontinuities = 0
        self._is_measured_announced = False

    async def load(self) -> None:
        """Read what was kept of the stream's last show."""
        self._state = await self._file.load()

    @property
    def number(self) -> int | None:
        """Return the show's number, None before it has one."""
        return self._state.show if self.is_open and self._state else None

    @property
    def is_audio_only(self) -> bool:
        """True when no rendition of the open show has video."""
        return self.is_open and self._state is not None and self._state.audio_only

    @property
    def newest_planned_tick(self) -> int | None:
        """Return the newest second that any address of the stream may claim."""
        if self._state is None:
            return None
        return slots.tick_after(self._state.planned_end_ms) // 1000 - 1

    @property
    def floor_ms(self) -> int:
        """Return where a new timeline may begin: past every second that was planned."""
        if self._newest_slot is not None:
            # In this process we know how far the open segment really was planned.
            return slots.tick_after(self._newest_slot.planned_end_ms)
        return slots.tick_after(self._state.planned_end_ms) if self._state else 0

    @property
    def top(self) -> RenditionWriter | None:
        """Return the best rendition there is."""
        return next(iter(self._writers.values()), None)

    def replay(self) -> Sequence[Message]:
        """Return what an HTTP process that has just connected must receive."""
        return self._replay.messages()

    def resume(self, wait_s: int) -> int | None:
        """Go on with the show that was kept, if it has not been away for too long.

        Returns:
            The media sequence number to go on with; None: a new show begins with the first segment.
        """
        state = self._state
        if self.is_open or state is None or state.ended:
            return None
        hls = self._settings
        constants = (hls.part_target_ms, hls.target_duration_s)
        if (state.part_target_ms, state.target_duration_s) != constants:
            return None  # rfc8216bis: both are constant for the life of a playlist
        if self._clock.now_ms() - state.planned_end_ms > wait_s * 1000:
            return None
        self._discontinuities = state.discontinuity_sequence
        self._open(state)
        return state.msn + 1

    def apply(self, events: Sequence[SegmenterEvent], longest_ms: int, has_video: bool) -> None:
        """Pass cuts on to every rendition.

        Args:
            longest_ms: No segment is longer.
            has_video: Decides, if this opens the show, whether it is one with a picture.
        """
        for event, following in zip_longest(events, events[1:]):
            if isinstance(event, SegmentEnded):
                self._open_log.clear()
                continue
            if isinstance(event, PartBegan):
                self._begin_part(event, longest_ms, has_video)
            else:
                self._end_part(event, events)
            self._open_log.append(event)
            for writer in self._writers.values():
                _cut(writer, event, isinstance(following, SegmentEnded))

    def writer(self, name: str) -> RenditionWriter:
        """Return a rendition; a new one begins with the open segment."""
        writer = self._writers.get(name)
        if writer is None:
            origin_ms = self._state.origin_ms if self._state else 0
            writer = RenditionWriter(name, origin_ms, name != AUDIO, self._publication.send)
            self._writers[name] = writer
            if self._audio_format is not None:
                writer.audio_format(self._audio_format)
            for event in self._open_log:
                _cut(writer, event, is_last=False)
        return writer

    def add(self, rendition: str, sample: Sample) -> None:
        """Give a sample to its rendition; sound goes into every one."""
        if sample.track is Track.VIDEO:
            self.writer(rendition).add(sample)
            return
        for writer in self._writers.values():
            writer.add(sample)

    def audio_format(self, audio_format: AudioFormat) -> None:
        """Audio is of this format."""
        self._audio_format = audio_format
        for writer in self._writers.values():
            writer.audio_format(audio_format)

    def skip_video(self, until_ms: int) -> None:
        """Wait no longer for pictures before `until_ms`, in any rendition."""
        for writer in self._writers.values():
            writer.skip_video(until_ms)

    def finish_writers(self) -> None:
        """Give out what there is of parts that have ended."""
        for writer in self._writers.values():
            writer.finish()
        self._waits.clear()

    def ends_older_than(self, wait_ms: int) -> tuple[int, ...]:
        """Return the ends of parts, of the last seconds, that are at least `wait_ms` ago."""
        now_s = self._clock.monotonic()
        return tuple(end_ms for end_ms, at_s in self._waits if (now_s - at_s) * 1000 >= wait_ms)

    def give_up_on_late(self) -> None:
        """Make the parts that a slow rendition has held up for `LATE_S`, with what there is."""
        now_s = self._clock.monotonic()
        while self._waits and now_s - self._waits[0][1] >= LATE_S:
            end_ms, _ = self._waits.popleft()
            for writer in self._writers.values():
                waits_from_ms = writer.waits_from_ms
                if waits_from_ms is not None and waits_from_ms <= end_ms:
                    writer.skip(end_ms)

    def announce_renditions(self, names: Sequence[str]) -> None:
        """Publish which renditions there are: once each has a part, and again when numbers grow.

        Args:
            names: What the pipeline makes now, best first. What viewers know stays, in its
                order, whatever the present publisher sends.
        """
        if not self.is_open or self.is_over:
            return
        order = [rendition.name for rendition in self.announced]
        if set(order) <= set(names):
            order = list(names)
        order = [name for name in order if name in self._writers]
        ready = [self._writers[name] for name in order if self._writers[name].has_part]
        is_late = self._clock.monotonic() - self._opened_at_s >= FIRST_WAIT_S
        if not ready or (len(ready) < len(order) and not self.announced and not is_late):
            return
        fresh = tuple(writer.describe() for writer in ready)
        if not self._is_measured_announced and all(writer.is_measured for writer in ready):
            self._is_measured_announced = True
        elif not _is_news(self.announced, fresh):
            return
        self.announced = fresh
        self._publication.send(RenditionsSet(fresh))

    def announce_health(self, health: Health) -> None:
        """Publish the show's health, once there is a show."""
        if self.is_open:
            self._publication.send(health)

    async def end(self, health: Health) -> None:
        """Publish ENDLIST, and save that it was."""
        self.is_over = True
        if self.is_open and self._state is not None:
            self._state = replace(self._state, ended=True)
            self._publication.save_before(self._state)
            self._publication.send(health)
            self._publication.send(ShowEnded())
            _log.info("show.ended", stream_id=str(self._stream), show=self._state.show)
        await self._publication.flushed()

    async def flushed(self) -> None:
        """Return when everything was published."""
        await self._publication.flushed()

    def _begin_part(self, event: PartBegan, longest_ms: int, has_video: bool) -> None:
        slot = event.slot
        if not slot.is_filler:
            self._newest_slot = slot
        if slot.part == 0:
            self._discontinuities += event.is_discontinuity
            self._open_segment(slot, slot.start_ms + longest_ms, has_video)
        self._publication.send(SlotOpened(slot, event.is_discontinuity))

    def _end_part(self, event: PartEnded, events: Sequence[SegmenterEvent]) -> None:
        slot = event.slot
        self._waits.append((event.end_ms, self._clock.monotonic()))
        held_ms = event.end_ms if event.held_ms is None else event.held_ms
        planned, count = slots.slot_run(slot), -(-held_ms // 1000) - slot.first_tick
        held_count = count if held_ms > slot.start_ms else 0
        # Where the next part begins at once, it carries the seconds that this one was planned for.
        goes_on = any(
            isinstance(other, PartBegan) and other.slot.start_ms == event.end_ms for other in events
        )
        is_filler = event.held_ms is not None
        if held_count < planned.count and (is_filler or not goes_on) and self.number is not None:
            self.cut_short.append(CutShort(self.number, slot, held_count))

    def _open_segment(self, slot: Slot, planned_end_ms: int, has_video: bool) -> None:
        if self.is_open and self._state is not None:
            self._state = replace(
                self._state,
                msn=slot.msn,
                planned_end_ms=planned_end_ms,
                discontinuity_sequence=self._discontinuities,
            )
            self._publication.save_before(self._state)
            return
        state = ShowState(
            show=max(self._state.show + 1 if self._state else 0, slot.first_tick),
            msn=slot.msn,
            planned_end_ms=planned_end_ms,
            discontinuity_sequence=0,
            origin_ms=slot.start_ms,
            audio_only=not has_video,
            part_target_ms=self._settings.part_target_ms,
            target_duration_s=self._settings.target_duration_s,
        )
        self._publication.save_before(state)
        self._open(state)

    def _open(self, state: ShowState) -> None:
        self._state = state
        self.is_open = True
        self._opened_at_s = self._clock.monotonic()
        self._publication.send(
            ShowOpened(
                stream=self._stream,
                slug=self._slug,
                show=state.show,
                part_target_ms=state.part_target_ms,
                target_duration_s=state.target_duration_s,
                window_ms=self._settings.window_ms,
                audio_only=state.audio_only,
                discontinuity_sequence=self._discontinuities,
            )
        )
        _log.info("show.opened", stream_id=str(self._stream), show=state.show, slug=self._slug)


def _cut(writer: RenditionWriter, event: PartBegan | PartEnded, is_last: bool) -> None:
    if isinstance(event, PartBegan):
        writer.begin(event.slot)
    else:
        writer.end(event, is_last)


def _is_news(announced: tuple[Rendition, ...], fresh: tuple[Rendition, ...]) -> bool:
    """True when a name or size is new, or a bandwidth has grown by more than a tenth."""
    if [r.name for r in announced] != [r.name for r in fresh]:
        return True
    return any(
        (new.codecs, new.width, new.height) != (old.codecs, old.width, old.height)
        or new.bandwidth_bps * 10 > old.bandwidth_bps * 11
        for old, new in zip(announced, fresh, strict=True)
    )
