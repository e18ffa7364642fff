"""H.264 parameter sets that a publisher has sent: which are known, and which are in use. Pure."""

from __future__ import annotations

from typing import Final

from mediaserver.h264 import IDR, PPS, SPS, NalUnits, golomb_at

_SPS_IDS: Final = 32
_PPS_IDS: Final = 256
_SET_BYTES_MAX: Final = 4096
"""One with every scaling list has less than 1,000; larger ones are not remembered."""


class ParameterSets:
    """What a publisher has sent, the newest of each id, and the pair that its pictures use.

    The content counts, never how often, in which order or with which picture it comes.

    Attributes:
        sps: SPS of the pair that `adopt` chose; empty before.
        pps: Its PPS, likewise.
    """

    def __init__(self) -> None:
        self.sps = b""
        self.pps = b""
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}

    @property
    def is_complete(self) -> bool:
        """True once an SPS and a PPS are known."""
        return bool(self._sps and self._pps)

    @property
    def newest_sps(self) -> bytes:
        """Return the SPS whose id was the last to appear; empty before any."""
        return next(reversed(self._sps.values()), b"")

    def take(self, nals: NalUnits) -> None:
        """Remember the sets among `nals`; one that cannot be read changes nothing."""
        for nal in nals:
            kind = nal[0] & 31
            if kind in (SPS, PPS) and len(nal) <= _SET_BYTES_MAX:
                known = self._sps if kind == SPS else self._pps
                number = _set_id(nal)
                # nal_ref_idc may differ between copies of one set.
                if number is not None and known.get(number, b"")[1:] != nal[1:]:
                    known[number] = nal

    def adopt(self, nals: NalUnits) -> bool:
        """Choose the pair of an IDR access unit; return whether it is another than before.

        Another PPS of the same SPS is no other pair while the present one still has its content.
        """
        pair = self._pair(nals)
        if pair is None or pair == (self.sps, self.pps):
            return False
        if pair[0] == self.sps and self.pps in self._pps.values():
            return False
        self.sps, self.pps = pair
        return True

    def others(self) -> NalUnits:
        """Return the PPSs of the chosen SPS besides the chosen one.

        One of another SPS would be taken for damage where only the chosen SPS is known.
        """
        return tuple(
            pps
            for pps in self._pps.values()
            if pps != self.pps and golomb_at(pps[1:16], 1) == _set_id(self.sps)
        )

    def missing(self, nals: NalUnits) -> NalUnits:
        """Return the sets that are known and whose ids `nals` does not hold, SPSs first."""
        there = {(nal[0] & 31, _set_id(nal)) for nal in nals if nal[0] & 31 in (SPS, PPS)}
        return tuple(
            nal
            for kind, known in ((SPS, self._sps), (PPS, self._pps))
            for number, nal in known.items()
            if (kind, number) not in there
        )

    def _pair(self, nals: NalUnits) -> tuple[bytes, bytes] | None:
        if not self.is_complete:
            return None
        idr = next((nal for nal in nals if nal[0] & 31 == IDR), b"")
        # What cannot be read, or names a set that never came, is taken for the newest.
        pps = self._pps.get(golomb_at(idr[1:24], 2), next(reversed(self._pps.values())))
        sps = self._sps.get(golomb_at(pps[1:16], 1), self.newest_sps)
        return sps, pps


def _set_id(nal: bytes) -> int | None:
    """Return the id of a parameter set, None for one that cannot be read."""
    is_sps = nal[0] & 31 == SPS
    number = golomb_at(nal[4:12] if is_sps else nal[1:9], 0)
    return number if 0 <= number < (_SPS_IDS if is_sps else _PPS_IDS) else None
