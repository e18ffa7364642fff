"""Access units to samples: parameter sets leave the pictures and become the format."""

from __future__ import annotations

from typing import Final

from mediaserver.h264 import IDR, PPS, SLICE, SPS, NalUnits, SpsFacts, nal_type, parse_sps
from mediaserver.media import VideoFormat

_UNWANTED: Final = frozenset({9, 10, 11, 12})
"""Access unit delimiter, ends of sequence and stream, filler: no use in a sample."""


class SampleMaker:
    """Access units of one track -> samples without parameter sets, and the format they need.

    Parameter sets may come with any access unit, again and again, or late: only their content
    counts. A change takes effect at the next IDR.
    """

    def __init__(self) -> None:
        self._sps: bytes | None = None
        self._pps: bytes | None = None
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
        is_idr = False
        has_picture = False
        sps = pps = None
        for nal in nals:
            kind = nal_type(nal)
            if kind == SPS:
                sps = sps or nal
            elif kind == PPS and pps is None:
                pps = nal
            elif kind not in _UNWANTED:
                # A second PPS (another id) stays in the sample: the format has room for one.
                kept.append(nal)
                is_idr = is_idr or kind == IDR
                has_picture = has_picture or SLICE <= kind <= IDR
        self._sps = sps or self._sps
        self._pps = pps or self._pps
        is_changed = is_idr and self._adopt()
        return (tuple(kept) if has_picture else ()), is_idr, is_changed

    def decodable(self, nals: NalUnits) -> NalUnits:
        """Return an IDR access unit with parameter sets, so that a fresh decoder can begin."""
        kinds = {nal_type(nal) for nal in nals}
        ahead: NalUnits = ()
        if SPS not in kinds and self._sps:
            ahead += (self._sps,)
        if PPS not in kinds and self._pps:
            ahead += (self._pps,)
        return ahead + nals

    def _adopt(self) -> bool:
        if self._sps is None or self._pps is None:
            return False
        if self.format and (self.format.sps, self.format.pps) == (self._sps, self._pps):
            return False
        if self.facts is None or self.format is None or self.format.sps != self._sps:
            self.facts = parse_sps(self._sps)
        self.format = VideoFormat(
            self._sps, self._pps, self.facts.width, self.facts.height, self.facts.codec
        )
        return True
