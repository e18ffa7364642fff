"""One show: its window and the bytes that its window names, and events for requests that wait.

Parts are kept as the worker sent them; a segment is the same bytes again, not a copy. What leaves
the window leaves memory.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final

from mediaserver.hls.addresses import Init, MediaObject, PartAddress, Segment
from mediaserver.hls.cache_policy import Kind
from mediaserver.hls.playlist import part_target_ms
from mediaserver.hls.rendition_window import Window
from mediaserver.hls.slots import held_run
from mediaserver.hls.window_entries import Edge, SegmentEntry
from mediaserver.ipc.messages import (
    InitMade,
    Message,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
)
from metering.units import Run

GZIP_LEVEL: Final = 6
"""The usual one: a playlist takes 0.1 ms, once for all viewers."""
INITS_MAX: Final = 64
"""A change of codec each second for a minute: older ones are not in the window any more."""


@dataclass(slots=True, eq=False)
class Text:
    """One version of a playlist, ready to be sent plain or packed.

    Attributes:
        source: What it was made from; another object means another text.
        plain: UTF-8.
        packed: The same in gzip, made once.
        etag: Strong and quoted, of the plain form.
        packed_etag: The packed form is another representation.
        heads: Heads of whole answers by cache kind and packing.
    """

    source: object
    plain: bytes
    packed: bytes
    etag: str
    packed_etag: str
    heads: dict[tuple[Kind, bool], bytes] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class MediaBytes:
    """A segment, part or init: never changed at its address.

    Attributes:
        chunks: The bytes in order; a segment shares those of its parts.
        size_bytes: Of all chunks.
        etag: Strong, quoted.
        run: Ticks it carries, fewer than its address says when it ended early; None when nothing
            is to be paid: an init, or a part whose pictures were not made.
        ticks: The same as in an address, empty for an init.
        duration_ms: Media it holds.
        head: Response headers, kept by `serve` once made.
    """

    chunks: tuple[bytes, ...]
    size_bytes: int
    etag: str
    run: Run | None = None
    ticks: str = ""
    duration_ms: int = 0
    head: bytes = b""


def make_text(source: object, text: str) -> Text:
    """Return a playlist ready to be sent."""
    plain = text.encode()
    digest = blake2b(plain, digest_size=12).hexdigest()
    packed = gzip.compress(plain, GZIP_LEVEL, mtime=0)
    return Text(source, plain, packed, f'"{digest}"', f'"{digest}-gz"')


@dataclass(slots=True, eq=False)
class ShowView:
    """One show: its window, its bytes and who waits.

    Attributes:
        window: Replaced whole at each change, so it is a cache key too.
        media: By address.
        inits: By address, oldest first.
        size_bytes: Of all media.
        texts: Playlists as `serve` made them last, by rendition and kind.
        ended_s: Monotonic time of its end, None while it runs.
    """

    window: Window
    media: dict[MediaObject, MediaBytes] = field(default_factory=dict)
    inits: dict[Init, MediaBytes] = field(default_factory=dict)
    size_bytes: int = 0
    texts: dict[tuple[str, bool], Text] = field(default_factory=dict)
    ended_s: float | None = None
    _reached: dict[str, tuple[Window, Edge | None, int]] = field(default_factory=dict)
    _by_msn: dict[int, list[MediaObject]] = field(default_factory=dict)
    _changed: dict[str, asyncio.Event] = field(default_factory=dict)

    def apply(self, message: Message) -> bool:
        """Take a message in; return True when it was news."""
        before = self.window
        if isinstance(message, InitMade):
            self._keep_init(message)
        self.window = before.apply(message)
        if self.window is before:
            return False
        match message:
            case PartMade(part):
                self._keep_part(message)
                self._settle(part.rendition)
            case SegmentEnded(rendition):
                self._settle(rendition)
            case ShowEnded():
                for name in self.window.tracks:
                    self._settle(name)
            case RenditionsSet():
                self._wake("")
        self._evict()
        return True

    def shrink(self) -> bool:
        """Give up the oldest segment; return False when none is left to give."""
        before = self.window
        self.window = before.without_oldest()
        self._evict()
        return self.window is not before

    def reach(self, rendition: str) -> tuple[Edge | None, int]:
        """Return how far a rendition has come and its PART-TARGET; worked out once a change."""
        known = self._reached.get(rendition)
        if known is None or known[0] is not self.window:
            window = self.window
            known = (window, window.edge(rendition), part_target_ms(window, rendition))
            self._reached[rendition] = known
        return known[1], known[2]

    def changed(self, rendition: str) -> asyncio.Event:
        """Return an event that is set at the next change of a rendition, of any for an empty name.

        The caller looks at the window first and waits after, without a pause between.
        """
        return self._changed.setdefault(rendition, asyncio.Event())

    def _keep_init(self, message: InitMade) -> None:
        opened = self.window.opened
        place = Init(opened.slug, opened.show, message.rendition, message.init_hash)
        if place not in self.inits:
            self.inits[place] = _bytes((message.payload,), _digest(message.payload))
            while len(self.inits) > INITS_MAX:
                del self.inits[next(iter(self.inits))]

    def _keep_part(self, message: PartMade) -> None:
        part, opened = message.part, self.window.opened
        slot = part.slot
        place = PartAddress(
            opened.slug,
            opened.show,
            part.rendition,
            slot.msn,
            slot.part,
            slot.first_tick,
            slot.tick_count,
        )
        media = _bytes((part.payload,), _digest(part.payload))
        # What an encoder failed to make, and what is ours, is nobody's to pay for.
        held_ms = part.end_ms if part.held_ms is None else part.held_ms
        is_paid = held_ms > slot.start_ms and not (part.is_gap or slot.is_filler)
        media.run = held_run(slot.start_ms, held_ms) if is_paid else None
        media.ticks = f"{slot.first_tick}x{media.run.count if media.run else 0}"
        media.duration_ms = part.end_ms - slot.start_ms
        self._keep(place, media)
        self.size_bytes += media.size_bytes

    def _settle(self, rendition: str) -> None:
        """Put together the segments that ended, and wake requests that wait for the rendition."""
        for entry in reversed(self.window.tracks[rendition]):
            if entry.is_ended and not entry.is_gap:
                place = self._segment_place(rendition, entry)
                if place in self.media:
                    break
                self._keep(place, self._joined(rendition, entry))
        self._wake(rendition)

    def _segment_place(self, rendition: str, entry: SegmentEntry) -> Segment:
        opened = self.window.opened
        run = entry.named_run
        return Segment(opened.slug, opened.show, rendition, entry.msn, run.first, run.count)

    def _joined(self, rendition: str, entry: SegmentEntry) -> MediaBytes:
        opened = self.window.opened
        parts = [
            self.media[
                PartAddress(
                    opened.slug,
                    opened.show,
                    rendition,
                    entry.msn,
                    part.slot.part,
                    part.slot.first_tick,
                    part.slot.tick_count,
                )
            ]
            for part in entry.parts
            if not part.is_gap
        ]
        chunks = tuple(chunk for part in parts for chunk in part.chunks)
        media = _bytes(chunks, _digest("".join(part.etag for part in parts).encode()))
        media.run = entry.run
        media.ticks = f"{entry.named_run.first}x{media.run.count if media.run else 0}"
        media.duration_ms = entry.end_ms - entry.start_ms
        return media

    def _keep(self, place: MediaObject, media: MediaBytes) -> None:
        self.media[place] = media
        self._by_msn.setdefault(place.msn, []).append(place)

    def _evict(self) -> None:
        first = self.window.first_msn
        for msn in [msn for msn in self._by_msn if msn < first]:
            for place in self._by_msn.pop(msn):
                media = self.media.pop(place)
                if isinstance(place, PartAddress):
                    self.size_bytes -= media.size_bytes

    def _wake(self, rendition: str) -> None:
        for name in {rendition, ""}:
            event = self._changed.pop(name, None)
            if event:
                event.set()


def _bytes(chunks: tuple[bytes, ...], digest: str) -> MediaBytes:
    return MediaBytes(chunks, sum(map(len, chunks)), f'"{digest}"')


def _digest(payload: bytes) -> str:
    return blake2b(payload, digest_size=12).hexdigest()
