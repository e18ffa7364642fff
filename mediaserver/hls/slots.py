"""Planned intervals of parts, and the ticks they carry.

A slot is fixed when its part opens, so an address is known before the bytes exist and is
the same for every rendition. A part whose media ended before its plan carries fewer: its address
keeps the plan, and claims are for what it holds. How a plan is cut short is the segmenter's matter;
how ticks are written in an address is `hls.addresses`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from mediaserver.media import Slot
from metering.units import Run

LEAD_MAX_MS: Final = 3_000
"""No part begins later than the server's clock plus this: longer than a hiccup that a publisher
catches up with, which comes back at the slew; short against what a viewer could be billed ahead."""

PLANNED_AHEAD_S: Final = 5
"""A stream without a worker's word: no plan reaches further ahead of the clock than a segment."""

EARLY_WAIT_MS: Final = 10_000
"""How much longer a publisher waits for the clock: what a killed worker's open segment may have
been planned ahead, at the longest target."""


def plan(
    msn: int,
    part: int,
    start_ms: int,
    part_target_ms: int,
    limit_ms: int,
    *,
    is_filler: bool = False,
) -> Slot:
    """Return the slot of a part that opens now, where the part before it ended.

    No plan reaches past `limit_ms`, where its segment must have ended.

    Raises:
        ValueError: If the slot would be empty.
    """
    slot = Slot(msn, part, start_ms, min(start_ms + part_target_ms, limit_ms), is_filler)
    if slot.planned_end_ms <= start_ms:
        raise ValueError(f"part {part} of msn {msn} would begin at {start_ms}, past {limit_ms}")
    return slot


def slot_run(slot: Slot) -> Run:
    """Return the ticks of one part: every Unix second that its plan touches."""
    return Run(slot.first_tick, slot.tick_count)


def held_run(start_ms: int, end_ms: int) -> Run:
    """Return the ticks of media from `start_ms` to before `end_ms`: every Unix second it touches.

    Raises:
        ValueError: If that is empty.
    """
    if end_ms <= start_ms:
        raise ValueError(f"media from {start_ms} to {end_ms} ms holds no second")
    first = start_ms // 1000
    return Run(first, -(-end_ms // 1000) - first)


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


def early_text(floor_ms: int, now_ms: int, wait_ms: int = 0) -> str:
    """Return why a timeline that begins at `floor_ms` may not begin yet, empty when it may.

    Only a machine's clock that was wrong puts it there for long: within one run of the server no
    part begins more than `LEAD_MAX_MS` early.

    Args:
        wait_ms: Nothing is said of what this much waiting heals.
    """
    if floor_ms - now_ms <= LEAD_MAX_MS + wait_ms:
        return ""
    return (
        f"This stream has used up all seconds before {utc_text(floor_ms)}, and the server's clock "
        f"is at {utc_text(now_ms)}: it was ahead before. No second is sold twice, so nothing can "
        f"be published for {(floor_ms - now_ms - LEAD_MAX_MS) // 1000 + 1} s; if the clock is "
        "wrong now, set it and restart the server."
    )


def utc_text(unix_ms: int) -> str:
    """Return a time as answers have it, whose readers' zone is not known."""
    return f"{datetime.fromtimestamp(unix_ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
