"""Planned intervals of parts, and the ticks they carry.

A slot is fixed when its part opens and is the same for every rendition, so an address is known
before the bytes exist and the seconds it claims never depend on what was encoded. How a plan is cut
short is the segmenter's matter; how ticks are written in an address is `hls.addresses`'.
"""

from __future__ import annotations

from collections.abc import Iterable

from mediaserver.media import Slot
from metering.units import Run


def plan(msn: int, part: int, start_ms: int, part_target_ms: int, limit_ms: int) -> Slot:
    """Return the slot of a part that opens now, where the part before it ended.

    No plan reaches past `limit_ms`, where its segment must have ended.

    Raises:
        ValueError: If the slot would be empty.
    """
    slot = Slot(msn, part, start_ms, min(start_ms + part_target_ms, limit_ms))
    if slot.planned_end_ms <= start_ms:
        raise ValueError(f"part {part} of msn {msn} would begin at {start_ms}, past {limit_ms}")
    return slot


def slot_run(slot: Slot) -> Run:
    """Return the ticks of one part: every Unix second that its plan touches."""
    return Run(slot.first_tick, slot.tick_count)


def segment_run(slots: Iterable[Slot]) -> Run:
    """Return the ticks of a segment: the union of its slots' ticks.

    Slots of one segment follow each other without a gap, so the union is one run.

    Raises:
        ValueError: If there is no slot.
    """
    runs = [slot_run(slot) for slot in slots]
    first = min(run.first for run in runs)
    return Run(first, max(run.end for run in runs) - first)


def tick_after(planned_end_ms: int) -> int:
    """Return where the first second begins that a plan ending here does not touch, in ms."""
    return -(-planned_end_ms // 1000) * 1000
