"""Reception statistics of one RTP source, and the block of a receiver report that carries them."""

from __future__ import annotations

from mediaserver.ingest.rtp import ReportBlock, ReportOfSender, RtpPacket, Unwrapper

_JUMP_S = 10
"""A transit time that steps further is a new clock, not jitter."""


class ReceptionStats:
    """Counts the original packets of one SSRC (RFC 3550, A.1, A.3 and A.8)."""

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self._clock_rate = clock_rate
        self._numbers = Unwrapper(16)
        self._first = 0
        self._highest = 0
        self._received = 0
        self._expected_before = 0
        self._received_before = 0
        self._jitter = 0.0
        self._transit = 0.0
        self._report_ntp = 0
        self._report_s = 0.0

    def count(self, packet: RtpPacket, now: float) -> None:
        """Count a packet that was not a retransmission on a stream of its own."""
        number = self._numbers.advance(packet.sequence)
        transit = now * self._clock_rate - packet.timestamp
        if not self._received:
            self._first = self._highest = number
        else:
            self._highest = max(self._highest, number)
            step = abs(transit - self._transit)
            if step < self._clock_rate * _JUMP_S:
                self._jitter += (step - self._jitter) / 16
        self._transit = transit
        self._received += 1

    def reported(self, report: ReportOfSender, now: float) -> None:
        """Remember a sender report: the sender takes the round trip from its echo."""
        self._report_ntp = report.ntp >> 16 & 0xFFFFFFFF
        self._report_s = now

    def block(self, now: float) -> ReportBlock:
        """Return the report block for the source; fractions count from the block before."""
        expected = self._highest - self._first + 1 if self._received else 0
        span = expected - self._expected_before
        missing = span - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        delay = int((now - self._report_s) * 65536) if self._report_ntp else 0
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(255, (missing << 8) // span) if span > 0 and missing > 0 else 0,
            packets_lost=expected - self._received,
            highest_sequence=self._highest,
            jitter=int(self._jitter),
            last_report=self._report_ntp,
            delay_since=min(delay, 0xFFFFFFFF),
        )
