"""A worker's messages, generated: one call for a live show."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from mediaserver.hls.rendition_window import Window
from mediaserver.ipc.messages import (
    InitMade,
    Message,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Part, Rendition, Slot

START_MS = 1_700_000_000_000
STREAM = UUID(int=7)
SOURCE = Rendition("source", ("avc1.64001f", "mp4a.40.2"), 4_500_000, 4_000_000, 1280, 720, 30_000)
LOW = Rendition("360p", ("avc1.4d401e", "mp4a.40.2"), 1_000_000, 800_000, 640, 360, 29_970)
AUDIO = Rendition("audio", ("mp4a.40.2",), 140_000, 128_000)
INIT = "0123456789abcdef"
OPENED = ShowOpened(STREAM, "cam", 5, 500, 3, 30_000, audio_only=False)


@dataclass
class Show:
    """What a worker would say, in order; `messages` keeps them for a replay."""

    renditions: tuple[Rendition, ...] = (SOURCE, LOW, AUDIO)
    opened: ShowOpened = OPENED
    msn: int = 0
    now_ms: int = START_MS
    parts_per_segment: int = 4
    init_hash: str = INIT
    messages: list[Message] = field(default_factory=list)

    def open(self) -> Iterator[Message]:
        yield from self._say(self.opened, RenditionsSet(self.renditions))
        yield from self._say(*(InitMade(r.name, self.init_hash, b"init") for r in self.renditions))

    def slot(self, part: int) -> Slot:
        start_ms = self.now_ms + part * self.opened.part_target_ms
        return Slot(self.msn, part, start_ms, start_ms + self.opened.part_target_ms)

    def part(self, rendition: str, slot: Slot, end_ms: int = 0) -> PartMade:
        end_ms = end_ms or slot.planned_end_ms
        payload = f"{rendition}/{slot.msn}.{slot.part};".encode() * 50
        is_independent = slot.part == 0 or rendition == "audio"
        length_us = (end_ms - slot.start_ms) * 1000
        return PartMade(
            Part(rendition, slot, end_ms, length_us, is_independent, self.init_hash, payload)
        )

    def segment(self, *, is_discontinuity: bool = False) -> Iterator[Message]:
        slots = [self.slot(part) for part in range(self.parts_per_segment)]
        for slot in slots:
            yield from self._say(SlotOpened(slot, is_discontinuity and slot.part == 0))
            yield from self._say(*(self.part(r.name, slot) for r in self.renditions))
        end_ms = slots[-1].planned_end_ms
        length_us = (end_ms - self.now_ms) * 1000
        yield from self._say(
            *(SegmentEnded(r.name, self.msn, end_ms, length_us) for r in self.renditions)
        )
        self.msn += 1
        self.now_ms = end_ms

    def segments(self, count: int) -> Iterator[Message]:
        for _ in range(count):
            yield from self.segment()

    def begin(self, parts: int) -> Iterator[Message]:
        """Parts of the next segment, and the slot after them."""
        for part in range(parts):
            yield from self._say(SlotOpened(self.slot(part), is_discontinuity=False))
            yield from self._say(*(self.part(r.name, self.slot(part)) for r in self.renditions))
        yield from self._say(SlotOpened(self.slot(parts), is_discontinuity=False))

    def _say(self, *messages: Message) -> Iterator[Message]:
        for message in messages:
            self.messages.append(message)
            yield message


def heard(window: Window | None, messages: Iterator[Message] | list[Message]) -> Window:
    for message in messages:
        if window is None:
            assert isinstance(message, ShowOpened)
            window = Window(message)
        else:
            window = window.apply(message)
    assert window is not None
    return window


def live(segments: int, parts: int = 0, **fields: object) -> tuple[Show, Window]:
    show = Show(**fields)  # type: ignore[arg-type]
    window = heard(None, show.open())
    window = heard(window, show.segments(segments))
    return show, heard(window, show.begin(parts)) if parts else window
