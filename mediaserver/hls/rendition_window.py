"""The live window of one show, built from workers' messages alone.

Two processes that received the same messages list the same bytes, and a message received twice
changes nothing: a worker that comes back sends its whole window again. Segments are planned once
for all renditions (their slots), so media sequence, discontinuity sequence and eviction are one for
all, and a rung that lags lists less. What a rung never got is a gap, not a hole in the numbering.

Which bytes an entry has is the show view's business; how it reads as text, `playlist`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from mediaserver.hls.window_entries import (
    Edge,
    PartEntry,
    Plan,
    SegmentEntry,
    ended,
    planned_end,
    with_gaps,
    without_first_gaps,
)
from mediaserver.ipc.messages import (
    Message,
    PartMade,
    RenditionsSet,
    SegmentEnded,
    ShowEnded,
    ShowOpened,
    SlotOpened,
)
from mediaserver.media import Rendition, Slot

RENDITIONS_MAX: Final = 16
"""More rungs than any ladder has; a faulty worker may not name more."""


class Presence(Enum):
    """Whether an object may be had."""

    PLANNED = "planned"
    """Its slot is open: it is hinted and may be waited for."""
    PASSED = "passed"
    """The rendition has it, or never will."""
    GONE = "gone"
    """It was evicted for good."""
    UNKNOWN = "unknown"
    """It was not planned; it may come."""


@dataclass(frozen=True, slots=True)
class Window:
    """What one show lists and keeps.

    Attributes:
        opened: Constants of the show.
        renditions: Best first, as last announced.
        plans: Segments that are kept, oldest first.
        tracks: Entries by rendition, oldest first, numbered without holes.
        listed_msn: Playlists begin here, or later where a rendition began later.
        discontinuities: How many came before the first kept segment.
        is_ended: Nothing follows.
    """

    opened: ShowOpened
    renditions: tuple[Rendition, ...] = ()
    plans: tuple[Plan, ...] = ()
    tracks: Mapping[str, tuple[SegmentEntry, ...]] = field(default_factory=dict)
    listed_msn: int = 0
    discontinuities: int = 0
    is_ended: bool = False

    @property
    def first_msn(self) -> int:
        """Return the oldest segment that is kept, 0 before the first."""
        return self.plans[0].msn if self.plans else 0

    @property
    def has_started(self) -> bool:
        """True when every rendition has its first part: the multivariant may be shown."""
        return bool(self.renditions) and all(r.name in self.tracks for r in self.renditions)

    def rendition(self, name: str) -> Rendition | None:
        """Return a current rendition by name."""
        return next((r for r in self.renditions if r.name == name), None)

    def is_audio(self, name: str) -> bool:
        """True when the rendition has no picture."""
        rendition = self.rendition(name)
        return not rendition.has_video if rendition else name == "audio"

    def listed(self, name: str) -> tuple[SegmentEntry, ...]:
        """Return what the rendition's playlist lists, the open segment included if it has parts."""
        track = self.tracks.get(name, ())
        if track and not track[-1].is_ended and not track[-1].listed_parts:
            track = track[:-1]
        skip = max(0, self.listed_msn - track[0].msn) if track else 0
        return without_first_gaps(track[skip:], 3000 * self.opened.target_duration_s)

    def edge(self, name: str) -> Edge | None:
        """Return how far a rendition has come, None before its first part."""
        track = self.tracks.get(name)
        if not track:
            return None
        last = track[-1]
        listed = len(last.listed_parts)
        return Edge(last.msn, listed, last.is_ended, self.is_ended, len(last.parts) - listed)

    def has_segment(self, name: str) -> bool:
        """Return whether a rendition has a segment that gets no more parts."""
        track = self.tracks.get(name, ())
        return len(track) > 1 or any(entry.is_ended for entry in track)

    def peak_bps(self, name: str) -> int:
        """Return the highest bit rate of the segments that a rendition lists, 0 without any."""
        return max((entry.bps for entry in self.listed(name)), default=0)

    def hint(self, name: str) -> Slot | None:
        """Return the planned slot that its playlist lists next, None while none is planned."""
        track = self.tracks.get(name)
        if self.is_ended or not track:
            return None
        last = track[-1]
        if not last.is_ended and last.is_gap:
            return None
        msn, part = (last.msn + 1, 0) if last.is_ended else (last.msn, len(last.parts))
        return self.slot(msn, part)

    def slot(self, msn: int, part: int) -> Slot | None:
        """Return a planned slot that is kept."""
        plan = self._plan(msn)
        return plan.slots[part] if plan and part < len(plan.slots) else None

    def discontinuity_sequence(self, msn: int) -> int:
        """Return how many discontinuities came before segments older than `msn`."""
        return self.discontinuities + sum(
            plan.is_discontinuity for plan in self.plans if plan.msn < msn
        )

    def presence(self, name: str, msn: int, part: int | None) -> Presence:
        """Return whether a part (or, with None, a segment) of a rendition may still come."""
        if self.plans and msn < self.plans[0].msn:
            return Presence.GONE
        edge = self.edge(name)
        if self.is_ended or (edge and _is_past(edge, msn, part)):
            return Presence.PASSED
        is_known = edge is not None or self.rendition(name) is not None
        if part is None or not is_known or self.slot(msn, part) is None:
            return Presence.UNKNOWN
        return Presence.PLANNED

    def apply(self, message: Message) -> Window:
        """Return the window after a message; the same object when it says nothing new."""
        match message:
            case ShowOpened() if message != self.opened and message.show == self.opened.show:
                return replace(self, opened=message)
            case RenditionsSet(renditions) if renditions != self.renditions:
                return replace(self, renditions=renditions[:RENDITIONS_MAX])
            case SlotOpened(slot, is_discontinuity) if not self.is_ended:
                return self._with_slot(slot, is_discontinuity)
            case PartMade() if not self.is_ended:
                return self._with_part(message)
            case SegmentEnded() if not self.is_ended:
                return self._with_end(message)
            case ShowEnded() if not self.is_ended:
                return self._with_show_end()
        return self

    def without_oldest(self) -> Window:
        """Return the window without its oldest segment, listed or not; the last two stay."""
        if len(self.plans) <= 2:
            return self
        first = self.plans[1].msn
        return self._evicted(self.plans, first, max(first, self.listed_msn))

    def _plan(self, msn: int) -> Plan | None:
        index = msn - self.first_msn
        return self.plans[index] if 0 <= index < len(self.plans) else None

    def _with_slot(self, slot: Slot, is_discontinuity: bool) -> Window:
        if not self.plans:
            return self._begun_at(slot, is_discontinuity) if slot.part == 0 else self
        last = self.plans[-1]
        if slot.msn == last.msn and slot.part == len(last.slots):
            longer = replace(last, slots=(*last.slots, slot))
            return replace(self, plans=(*self.plans[:-1], longer))
        if slot.part != 0 or slot.msn <= last.msn:
            return self
        if slot.msn > last.msn + 1:
            # Segments were missed: numbers may not be skipped, so the window begins anew.
            return self._begun_at(slot, is_discontinuity)
        return self._aged((*self.plans, Plan(slot.msn, is_discontinuity, (slot,))))

    def _begun_at(self, slot: Slot, is_discontinuity: bool) -> Window:
        return replace(
            self,
            plans=(Plan(slot.msn, is_discontinuity, (slot,)),),
            tracks={},
            listed_msn=slot.msn,
            discontinuities=self.opened.discontinuity_sequence,
        )

    def _aged(self, plans: tuple[Plan, ...]) -> Window:
        """Segments leave by the media that follows them, so a publisher's pause evicts nothing.

        rfc8216bis, 6.2.2: the list holds at least three target durations, and what leaves it stays
        for its own duration plus that of the longest list that held it.
        """
        target_ms = self.opened.target_duration_s * 1000
        listed_ms = max(self.opened.window_ms, 3 * target_ms)
        kept_ms = 2 * listed_ms + target_ms
        listed = kept = plans[-1].msn
        follows_ms = 0
        for index in range(len(plans) - 2, -1, -1):
            if follows_ms < listed_ms:
                listed = plans[index].msn
            if follows_ms < kept_ms:
                kept = plans[index].msn
            follows_ms += planned_end(plans, index) - plans[index].slots[0].start_ms
        return self._evicted(plans, kept, max(self.listed_msn, listed))

    def _evicted(self, plans: tuple[Plan, ...], first_msn: int, listed_msn: int) -> Window:
        if first_msn == plans[0].msn:
            return replace(self, plans=plans, listed_msn=listed_msn)
        gone = sum(plan.is_discontinuity for plan in plans if plan.msn < first_msn)
        return replace(
            self,
            plans=tuple(plan for plan in plans if plan.msn >= first_msn),
            tracks={
                name: tuple(entry for entry in track if entry.msn >= first_msn)
                for name, track in self.tracks.items()
            },
            listed_msn=listed_msn,
            discontinuities=self.discontinuities + gone,
        )

    def _with_part(self, message: PartMade) -> Window:
        part = message.part
        msn, index = part.slot.msn, part.slot.part
        plan = self._plan(msn)
        if plan is None or self.slot(msn, index) != part.slot:
            return self
        track = self.tracks.get(part.rendition, ())
        if (not track and index) or (track and msn < track[-1].msn):
            return self
        if part.rendition not in self.tracks and len(self.tracks) >= RENDITIONS_MAX:
            return self
        track = self._reaching(track, msn)
        entry = track[-1] if track and track[-1].msn == msn else None
        if entry and (entry.is_ended or index < len(entry.parts)):
            return self
        parts = with_gaps(entry.parts if entry else (), plan, index, part.slot.start_ms)
        made = PartEntry(
            part.slot,
            part.end_ms,
            part.duration_us,
            part.is_independent,
            part.is_gap,
            len(part.payload),
            part.held_ms,
        )
        parts += (made,)
        init_hash = (entry.init_hash if entry else "") or part.init_hash
        segment = SegmentEntry(msn, plan.is_discontinuity, init_hash, parts)
        if index + 1 == len(plan.slots) and msn < self.plans[-1].msn:
            # The next segment is planned, so this was the last part. Were the end only known by
            # its own message, a list between the two would have no hint (rfc8216bis, 4.4.5.3).
            segment = ended(segment, plan, part.end_ms)
        return self._with_track(part.rendition, (*(track[:-1] if entry else track), segment))

    def _with_end(self, message: SegmentEnded) -> Window:
        plan = self._plan(message.msn)
        track = self.tracks.get(message.rendition, ())
        if plan is None or not track or message.msn < track[-1].msn:
            return self
        track = self._reaching(track, message.msn)
        entry = track[-1] if track[-1].msn == message.msn else None
        if entry and entry.is_ended:
            return self
        segment = entry or SegmentEntry(message.msn, plan.is_discontinuity, "", ())
        segment = ended(segment, plan, max(message.end_ms, plan.slots[0].start_ms + 1))
        return self._with_track(message.rendition, (*(track[:-1] if entry else track), segment))

    def _with_show_end(self) -> Window:
        tracks = {}
        for name, track in self.tracks.items():
            tracks[name] = track
            plan = self._plan(track[-1].msn) if track else None
            if plan and not track[-1].is_ended:
                last = ended(track[-1], plan, track[-1].parts[-1].end_ms)
                tracks[name] = (*track[:-1], last)
        return replace(self, tracks=tracks, is_ended=True)

    def _reaching(self, track: tuple[SegmentEntry, ...], msn: int) -> tuple[SegmentEntry, ...]:
        """Return the track with everything before `msn` ended: what never came is a gap."""
        while track and track[-1].msn <= msn:
            last = track[-1]
            plan = self._plan(last.msn)
            if not last.is_ended and last.msn < msn and plan:
                index = last.msn - self.first_msn
                is_cut = self.plans[index + 1].is_discontinuity
                end_ms = last.parts[-1].end_ms if is_cut else planned_end(self.plans, index)
                track = (*track[:-1], ended(last, plan, end_ms))
            following = self._plan(last.msn + 1)
            if last.msn + 1 >= msn or following is None:
                break
            empty = SegmentEntry(following.msn, following.is_discontinuity, "", ())
            end_ms = planned_end(self.plans, following.msn - self.first_msn)
            track = (*track, ended(empty, following, end_ms))
        return track

    def _with_track(self, name: str, track: tuple[SegmentEntry, ...]) -> Window:
        return replace(self, tracks={**self.tracks, name: track})


def _is_past(edge: Edge, msn: int, part: int | None) -> bool:
    if msn != edge.msn:
        return msn < edge.msn
    return edge.is_segment_ended or (part is not None and part < edge.made_count)
