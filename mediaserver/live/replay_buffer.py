"""What an HTTP process that has just connected must receive: the show's window, as messages."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

from msgspec.structs import replace

from mediaserver.ipc.messages import (
    Health,
    InitMade,
    Message,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
)


@dataclass(slots=True)
class _Segment:
    msn: int
    start_ms: int
    planned_end_ms: int
    is_discontinuity: bool
    messages: list[Message] = field(default_factory=list)


class ReplayBuffer:
    """Remembers what was published; bounded by media time.

    A segment is forgotten once what follows it lasts `keep_ms` or longer: a pause of the publisher
    forgets nothing.
    """

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self._opened: ShowOpened | None = None
        self._renditions: RenditionsSet | None = None
        self._inits: dict[tuple[str, str], InitMade] = {}
        self._newest_init: dict[str, str] = {}
        self._segments: deque[_Segment] = deque()
        self._health: Health | None = None
        self._ended: ShowEnded | None = None

    def record(self, message: Message) -> None:
        """Take note of a message that was just published."""
        match message:
            case ShowOpened():
                self._opened = message
            case RenditionsSet():
                self._renditions = message
            case InitMade():
                self._inits[message.rendition, message.init_hash] = message
                self._newest_init[message.rendition] = message.init_hash
            case SlotOpened():
                self._open(message)
            case PartMade():
                self._keep(message.part.slot.msn, message)
            case SegmentEnded():
                self._keep(message.msn, message)
            case Health():
                self._health = message
            case ShowEnded():
                self._ended = message

    def messages(self) -> tuple[Message, ...]:
        """Return the messages, each after those that it needs."""
        if self._opened is None:
            return ()
        announced: list[Message] = [self._opened]
        if self._renditions is not None:
            announced.append(self._renditions)
        announced += self._inits.values()
        for segment in self._segments:
            announced += segment.messages
        if self._health is not None:
            announced.append(self._health)
        if self._ended is not None:
            announced.append(self._ended)
        return tuple(announced)

    def _open(self, message: SlotOpened) -> None:
        slot = message.slot
        if slot.part == 0:
            self._segments.append(
                _Segment(slot.msn, slot.start_ms, slot.planned_end_ms, message.is_discontinuity)
            )
            self._forget_oldest()
        if self._segments:
            self._segments[-1].planned_end_ms = slot.planned_end_ms
        self._keep(slot.msn, message)

    def _keep(self, msn: int, message: Message) -> None:
        # A rendition may be a segment behind, so the place is searched from the newest.
        for segment in reversed(self._segments):
            if segment.msn == msn:
                segment.messages.append(message)
                return

    def _forget_oldest(self) -> None:
        # A segment lasts until the next begins, but a pause of the publisher is not media.
        lengths = [
            min(segment.planned_end_ms, after.start_ms) - segment.start_ms
            for segment, after in pairwise(self._segments)
        ]
        following_ms = sum(lengths[1:])
        gone = 0
        for length_ms in lengths[1:]:
            if following_ms < self._keep_ms:
                break
            gone += self._segments.popleft().is_discontinuity
            following_ms -= length_ms
        if gone and self._opened is not None:
            before = self._opened.discontinuity_sequence
            self._opened = replace(self._opened, discontinuity_sequence=before + gone)
        kept = {
            (message.part.rendition, message.part.init_hash)
            for segment in self._segments
            for message in segment.messages
            if isinstance(message, PartMade)
        } | set(self._newest_init.items())
        self._inits = {key: init for key, init in self._inits.items() if key in kept}
