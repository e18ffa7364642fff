"""What a live window lists: segments as planned, and the entries of each rendition. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import takewhile

from mediaserver.hls.slots import held_run
from mediaserver.media import Slot
from metering.units import Run


@dataclass(frozen=True, slots=True)
class Plan:
    """A segment as planned, for all renditions."""

    msn: int
    is_discontinuity: bool
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class PartEntry:
    """A part of one rendition; `is_gap` says that its media never came, or its pictures."""

    slot: Slot
    end_ms: int
    duration_us: int
    is_independent: bool = False
    is_gap: bool = False
    size_bytes: int = 0
    held_ms: int | None = None

    @property
    def held_until_ms(self) -> int:
        """Return where what is to be paid for ends in it: its start when there is nothing."""
        if self.is_gap:
            return self.slot.start_ms
        return self.end_ms if self.held_ms is None else self.held_ms


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment of one rendition.

    Attributes:
        msn: Media sequence number.
        is_discontinuity: EXT-X-DISCONTINUITY comes before it.
        init_hash: Which init it needs; empty while all its parts are gaps.
        parts: Without holes.
        end_ms: Where it ends on the timeline; 0 while it is open.
    """

    msn: int
    is_discontinuity: bool
    init_hash: str
    parts: tuple[PartEntry, ...]
    end_ms: int = 0

    @property
    def is_ended(self) -> bool:
        """True when no part follows."""
        return self.end_ms > 0

    @property
    def is_gap(self) -> bool:
        """True when nothing of it came, or not all: who plays it would meet a hole."""
        return not self.init_hash or any(part.is_gap for part in self.parts)

    @property
    def listed_parts(self) -> tuple[PartEntry, ...]:
        """Return the parts that a playlist may name: those before the first gap, till it ends.

        hls.js 1.7 stops for good at a part with GAP=YES and goes past a segment with EXT-X-GAP.
        Parts may be left out (rfc8216bis, 4.4.4.9); the segment is listed, as a gap, once it ends.
        """
        if self.is_ended and self.is_gap:
            return ()
        return tuple(takewhile(lambda part: not part.is_gap, self.parts))

    @property
    def listed_end_ms(self) -> int:
        """Return where what a playlist lists of it ends: its start while that is nothing."""
        parts = self.listed_parts
        return self.end_ms or (parts[-1].end_ms if parts else self.start_ms)

    @property
    def bps(self) -> int:
        """Return its bit rate, rounded up; 0 while it is open."""
        size_bytes = sum(part.size_bytes for part in self.parts)
        return -(-size_bytes * 8000 // (self.end_ms - self.start_ms)) if self.is_ended else 0

    @property
    def start_ms(self) -> int:
        """Return where it begins on the timeline."""
        return self.parts[0].slot.start_ms

    @property
    def run(self) -> Run | None:
        """Return the ticks to pay for: from its first media to its last; None without any."""
        held = [
            part
            for part in self.parts
            if part.held_until_ms > part.slot.start_ms and not part.slot.is_filler
        ]
        return held_run(held[0].slot.start_ms, held[-1].held_until_ms) if held else None

    @property
    def named_run(self) -> Run:
        """Return the ticks it is named after once it has ended: those to pay for, else its time."""
        if self.parts[0].slot.is_filler:
            return Run(self.parts[0].slot.first_tick, 0)
        return self.run or held_run(self.start_ms, self.parts[-1].end_ms)


@dataclass(frozen=True, slots=True)
class Edge:
    """How far one rendition has come.

    Attributes:
        msn: Its newest segment that has a part.
        part_count: Parts of that segment that are listed.
        is_segment_ended: That segment gets no more.
        is_show_ended: ENDLIST.
        unlisted_count: Parts of that segment that came or never will, and that no list names.
    """

    msn: int
    part_count: int
    is_segment_ended: bool
    is_show_ended: bool
    unlisted_count: int = 0

    @property
    def made_count(self) -> int:
        """Return how many parts of that segment came, or never will."""
        return self.part_count + self.unlisted_count


def planned_end(plans: tuple[Plan, ...], index: int) -> int:
    """Return where a segment ends by plan: where the next begins, unless time breaks there."""
    if index + 1 < len(plans) and not plans[index + 1].is_discontinuity:
        return plans[index + 1].slots[0].start_ms
    return plans[index].slots[-1].planned_end_ms


def with_gaps(
    parts: tuple[PartEntry, ...], plan: Plan, count: int, end_ms: int
) -> tuple[PartEntry, ...]:
    """Return `parts` and a gap for each slot of the plan from there to `count`."""
    for index in range(len(parts), count):
        slot = plan.slots[index]
        following = plan.slots[index + 1].start_ms if index + 1 < count else end_ms
        parts += (PartEntry(slot, following, (following - slot.start_ms) * 1000, is_gap=True),)
    return parts


def ended(entry: SegmentEntry, plan: Plan, end_ms: int) -> SegmentEntry:
    """Return a segment that ends at `end_ms`, gaps where the rendition has no part."""
    # A slot that was opened but never reached carries nothing, and no tick of it is asked for.
    made = len(entry.parts)
    slots = [slot for slot in plan.slots if slot.part < made or slot.start_ms < end_ms]
    parts = with_gaps(entry.parts, plan, len(slots), end_ms)
    return replace(entry, parts=parts, end_ms=end_ms)


def without_first_gaps(listed: tuple[SegmentEntry, ...], keep_ms: int) -> tuple[SegmentEntry, ...]:
    """Return a list that begins with media, if so `keep_ms` of it are left.

    ExoPlayer does not get past a gap that begins a list.
    """
    skip = 0
    while skip + 1 < len(listed) and listed[skip].is_ended and listed[skip].is_gap:
        skip += 1
    if not skip:
        return listed
    left_ms = sum(entry.listed_end_ms - entry.start_ms for entry in listed)
    for first in range(skip):
        left_ms -= listed[first].end_ms - listed[first].start_ms
        if left_ms < keep_ms:
            return listed[first:]
    return listed[skip:]
