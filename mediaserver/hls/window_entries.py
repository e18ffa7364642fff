"""What a live window lists: segments as planned, and the entries of each rendition. Pure values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mediaserver.media import Slot


@dataclass(frozen=True, slots=True)
class Plan:
    """A segment as planned, for all renditions."""

    msn: int
    is_discontinuity: bool
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class PartEntry:
    """A part of one rendition; `is_gap` says that its media never came."""

    slot: Slot
    end_ms: int
    duration_us: int
    is_independent: bool = False
    is_gap: bool = False


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment of one rendition.

    Attributes:
        msn: Media sequence number.
        is_discontinuity: EXT-X-DISCONTINUITY comes before it.
        init_hash: Which init it needs; empty while all its parts are gaps.
        parts: Without holes.
        end_ms: Where it ends on the timeline; 0 while it is open.
        tick_end: The tick after its last; 0 while it is open.
    """

    msn: int
    is_discontinuity: bool
    init_hash: str
    parts: tuple[PartEntry, ...]
    end_ms: int = 0
    tick_end: int = 0

    @property
    def is_ended(self) -> bool:
        """True when no part follows."""
        return self.end_ms > 0

    @property
    def is_gap(self) -> bool:
        """True when nothing of it came."""
        return not self.init_hash

    @property
    def start_ms(self) -> int:
        """Return where it begins on the timeline."""
        return self.parts[0].slot.start_ms

    @property
    def first_tick(self) -> int:
        """Return the first tick of its first slot."""
        return self.parts[0].slot.first_tick

    @property
    def tick_count(self) -> int:
        """Return how many ticks its slots touch together; 0 or less while it is open."""
        return self.tick_end - self.first_tick


@dataclass(frozen=True, slots=True)
class Edge:
    """How far one rendition has come.

    Attributes:
        msn: Its newest segment that has a part.
        part_count: Parts of that segment.
        is_segment_ended: That segment gets no more.
        is_show_ended: ENDLIST.
    """

    msn: int
    part_count: int
    is_segment_ended: bool
    is_show_ended: bool


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
    tick_end = max(slot.first_tick + slot.tick_count for slot in slots)
    return replace(entry, parts=parts, end_ms=end_ms, tick_end=tick_end)
