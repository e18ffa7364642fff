"""Further sources of one payload type: simulcast layers or sounds that no SDP spoke of. Pure.

The first sound is heard, and further ones are counted. One picture is shown, so one source is
taken: the largest picture, or the most bytes where that is not known. Which one comes first says
nothing; a thumbnail's keyframe is the first to be whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.errors import MediaFormatError
from mediaserver.h264 import SPS, parse_sps

JUDGED_BY_BYTES_S: Final = 1.0
"""Bytes are compared over this long: it holds a keyframe of most encoders."""
MORE_BYTES: Final = 1.5
"""How many times more a better source sends: a layer of half the height sends a third."""
CHANGE_APART_S: Final = 30.0
"""Each change is a break for viewers: a layer that comes and goes makes no more than this."""
_SOURCES_MAX: Final = 8
_RECENT_S: Final = 5.0
_STAP_A: Final = 24


@dataclass(slots=True)
class _Source:
    first_s: float
    present_bytes: int
    size_bytes: int = 0
    area: int = 0
    last_s: float = 0.0


class OtherSources:
    """The sources that are not taken."""

    def __init__(self) -> None:
        self._sources: dict[int, _Source] = {}
        self._changed_s: float | None = None
        self._present_sps = b""
        self._present_area = 0

    def count(self, now: float) -> int:
        """Return how many were heard within the last seconds before `now`."""
        return sum(now - source.last_s < _RECENT_S for source in self._sources.values())

    def is_better(
        self, ssrc: int, payload: bytes, present_sps: bytes, present_bytes: int, now: float
    ) -> bool:
        """Note a packet of another source; return whether that one is to be taken from here on.

        Args:
            ssrc: The other source.
            payload: Of its packet.
            present_sps: The newest SPS of the source that is taken, or empty.
            present_bytes: What that one has sent in all.
            now: Monotonic seconds.
        """
        source = self.note(ssrc, len(payload), present_bytes, now)
        if source is None:
            return False
        if sps := _sps_in(payload):
            source.area = _area(sps)
        if self._changed_s is not None and now - self._changed_s < CHANGE_APART_S:
            return False
        if present_sps != self._present_sps:
            self._present_sps, self._present_area = present_sps, _area(present_sps)
        present_area = self._present_area
        if source.area and present_area:
            is_better = source.area > present_area
        else:
            sent = present_bytes - source.present_bytes
            is_better = (
                now - source.first_s >= JUDGED_BY_BYTES_S and source.size_bytes > MORE_BYTES * sent
            )
        if is_better:
            self._changed_s = now
        return is_better

    def note(self, ssrc: int, size_bytes: int, present_bytes: int, now: float) -> _Source | None:
        """Count a packet of another source; return what is known of it, None when it is one more.

        Args:
            size_bytes: Of its payload.
        """
        source = self._sources.get(ssrc)
        if source is None:
            if len(self._sources) >= _SOURCES_MAX:
                return None
            source = self._sources[ssrc] = _Source(now, present_bytes)
        source.size_bytes += size_bytes
        source.last_s = now
        return source

    def begin(self) -> None:
        """Begin to compare anew: another source is taken now."""
        self._sources.clear()


def _sps_in(payload: bytes) -> bytes:
    """Return the SPS that a packet begins with, alone or in a STAP-A; empty without one."""
    if not payload:
        return b""
    if payload[0] & 31 == SPS:
        return payload
    if payload[0] & 31 == _STAP_A and len(payload) > 3 and payload[3] & 31 == SPS:
        return payload[3 : 3 + int.from_bytes(payload[1:3], "big")]
    return b""


def _area(sps: bytes) -> int:
    if not sps:
        return 0
    try:
        facts = parse_sps(sps)
    except MediaFormatError:
        return 0
    return facts.width * facts.height
