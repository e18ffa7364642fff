"""Delivery directives: `_HLS_msn`, `_HLS_part`, `_HLS_skip` -> ready, wait or reject.

rfc8216bis, 6.2.5.2. Every query has a decision; nothing here raises. How long to wait, and
what to respond then, is `serve`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.hls.window_entries import Edge

MSN_ADVANCE_MAX: Final = 2
ADVANCE_MS: Final = 3000
"""A client may ask for a part up to this far ahead (three parts when they are longer than 1 s)."""
DIGITS_MAX: Final = 15
"""A larger number is not exact in every client, and we never count that far."""
LATE_SEGMENTS_MAX: Final = 1
"""A player that follows asks for the open segment or the one before; an older one is asked for by
who was away, each for another."""
LATE_PARTS_MAX: Final = 128
"""No segment has as many parts."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Answer now.

    Attributes:
        is_delta: A delta update was asked for.
        is_blocking: `_HLS_msn` is in the address, so the answer may be cached for long.
        is_shared: False: the directives make no difference, so that caches need no copy for each of
            the many that there may be.
    """

    is_delta: bool = False
    is_blocking: bool = False
    is_shared: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """The playlist does not hold yet what was asked for; ask again when it changes."""


@dataclass(frozen=True, slots=True)
class Reject:
    """400: `reason` is a sentence for the player's developer."""

    reason: str


Decision = Ready | Wait | Reject


_AT_ONCE: Final = Ready()


def decide(query: str, edge: Edge, part_target_ms: int) -> Decision:
    """Return what to do with a request for a media playlist.

    Args:
        query: Raw query string; unknown directives and other keys are ignored.
    """
    if not query or "_HLS_" not in query:
        return _AT_ONCE
    if edge.is_show_ended:
        return Ready(is_shared=False)
    given: dict[str, str] = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if key in ("_HLS_msn", "_HLS_part", "_HLS_skip") and given.setdefault(key, value) != value:
            return Reject(f"{key} is given twice")
    is_delta = "_HLS_skip" in given
    if is_delta and given["_HLS_skip"] not in ("YES", "v2"):
        return Reject("_HLS_skip is YES or v2")
    if "_HLS_msn" not in given:
        if "_HLS_part" in given:
            return Reject("_HLS_part needs _HLS_msn")
        return Ready(is_delta)
    msn = _number(given["_HLS_msn"])
    part = _number(given["_HLS_part"]) if "_HLS_part" in given else None
    if msn is None or ("_HLS_part" in given and part is None):
        return Reject("_HLS_msn and _HLS_part are decimal integers without leading zeros")
    if msn == edge.msn and edge.is_segment_ended and part is not None and part >= edge.made_count:
        # A part index past the last means part 0 of the next segment.
        msn, part = msn + 1, 0
    if _is_listed(edge, msn, part):
        is_late = msn < edge.msn - LATE_SEGMENTS_MAX or (part or 0) >= LATE_PARTS_MAX
        return Ready(is_delta, is_blocking=True, is_shared=not is_late)
    if msn > edge.msn + MSN_ADVANCE_MAX:
        return Reject(f"segment {msn} is too far ahead of {edge.msn}")
    base = edge.made_count if msn == edge.msn else 0
    if part is not None and part - base >= _parts_ahead_max(part_target_ms):
        return Reject(f"part {part} of segment {msn} is too far ahead")
    return Wait()


def _is_listed(edge: Edge, msn: int, part: int | None) -> bool:
    if msn != edge.msn:
        # What is already gone is answered with the whole current list.
        return msn < edge.msn
    if part is None or edge.is_segment_ended:
        # Parts from a gap on are never listed: the segment's end is what there is to wait for.
        return edge.is_segment_ended
    return part < edge.part_count


def _parts_ahead_max(part_target_ms: int) -> int:
    return -(-ADVANCE_MS // part_target_ms) if part_target_ms < 1000 else 3


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdigit() or len(text) > DIGITS_MAX:
        return None
    if text != "0" and text[0] == "0":
        return None  # one spelling: caches keep an answer under it
    return int(text)
