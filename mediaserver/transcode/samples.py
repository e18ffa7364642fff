"""Access units to samples: parameter sets leave the pictures and become the format."""

from __future__ import annotations

from typing import Final

from mediaserver.h264 import (
    IDR,
    PPS,
    SLICE,
    SPS,
    NalUnits,
    SpsFacts,
    nal_type,
    parse_sps,
)
from mediaserver.media import VideoFormat
from mediaserver.parameter_sets import ParameterSets

_UNWANTED: Final = frozenset({9, 10, 11, 12})
"""Access unit delimiter, ends of sequence and stream, filler: no use in a sample."""


class SampleMaker:
    """Access units of one track -> samples without parameter sets, and the format they need.

    Parameter sets may come with any access unit, again and again, or late: only their content
    counts. A change takes effect at the next IDR.
    """

    def __init__(self) -> None:
        self._sets = ParameterSets()
        self.format: VideoFormat | None = None
        self.facts: SpsFacts | None = None

    def make(self, nals: NalUnits) -> tuple[NalUnits, bool, bool]:
        """Take one access unit in.

        Returns:
            The sample's NAL units (none: no picture in it), whether it is an IDR, and whether
            `format` became another with it.

        Raises:
            MediaFormatError: The parameter sets of this IDR cannot be used.
        """
        kept: list[bytes] = []
        sets: list[bytes] = []
        is_idr = False
        has_picture = False
        for nal in nals:
            kind = nal_type(nal)
            if kind in (SPS, PPS):
                sets.append(nal)
            elif kind not in _UNWANTED:
                kept.append(nal)
                is_idr = is_idr or kind == IDR
                has_picture = has_picture or SLICE <= kind <= IDR
        if sets:
            self._sets.take(tuple(sets))
        is_changed = is_idr and self._adopt(nals)
        if not has_picture:
            return (), is_idr, is_changed
        # The format has room for one PPS: the others of an encoder that has several, and one that
        # becomes another between IDRs, stay in the samples.
        if is_idr:
            return (*self._sets.others(), *kept), is_idr, is_changed
        if sets and self.format is not None:
            ahead = [nal for nal in sets if nal_type(nal) == PPS and nal[1:] != self._sets.pps[1:]]
            kept = [*ahead, *kept]
        return tuple(kept), is_idr, is_changed

    def decodable(self, nals: NalUnits) -> NalUnits:
        """Return an IDR access unit with parameter sets, so that a fresh decoder can begin."""
        return self._sets.missing(nals) + nals

    def _adopt(self, nals: NalUnits) -> bool:
        if not self._sets.adopt(nals):
            return False
        sps, pps = self._sets.sps, self._sets.pps
        if self.facts is None or self.format is None or self.format.sps != sps:
            self.facts = parse_sps(sps)
        facts = self.facts
        self.format = VideoFormat(sps, pps, facts.width, facts.height, facts.codec)
        return True
