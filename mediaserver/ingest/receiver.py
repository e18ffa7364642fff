"""Packets of one publisher to access units, and the RTCP that the publisher gets in return.

Takes decrypted RTP and RTCP with the time they came; returns access units, sender reports and RTCP
to send. Which payload type belongs to which track comes from the offer; SSRCs are learnt, as OBS
and FFmpeg offers do not always name them. Nothing here raises for bad packets: they are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.ingest import rtp
from mediaserver.ingest.depacketize import H264Depacketizer
from mediaserver.ingest.other_sources import OtherSources
from mediaserver.ingest.reception_stats import ReceptionStats
from mediaserver.ingest.reorder import NEVER, Delivery, Reorder
from mediaserver.ingest.sdp_offer import OfferedTrack
from mediaserver.media import AccessUnit, SenderReport, Track

REPORT_S: Final = 1.0
"""RR and REMB once a second: browsers ramp their bandwidth estimate on it."""
KEYFRAME_WAIT_S: Final = 0.5
"""No more often: a browser needs that long to answer a PLI over a long path."""
SOURCE_SILENT_S: Final = 0.5
"""Another SSRC of the same payload type takes the track over when the present one is silent, or if
it is the better one of several (other_sources.py); else it is a layer that nobody asked for."""
NO_REPAIR_GIVE_UP_S: Final = 0.06
"""Without NACK only reordering is waited for."""

Media = AccessUnit | SenderReport


@dataclass(slots=True)
class _Packet:
    packet: rtp.RtpPacket
    arrived_s: float


class TrackReceiver:
    """Reception of one track: order, time and statistics of its present SSRC.

    Attributes:
        track: Video or audio.
        packets: Packets that came, retransmissions aside.
        size_bytes: Payload bytes that came, retransmissions included.
        ssrc: The present source, or None before the first packet.
        others: Further sources of its payload type.
    """

    def __init__(self, offered: OfferedTrack, give_up_s: float) -> None:
        self.track = offered.track
        self.clock_rate = offered.clock_rate
        self.has_nack = "nack" in offered.feedback
        self.has_pli = "nack pli" in offered.feedback
        self.has_remb = "goog-remb" in offered.feedback
        self.packets = 0
        self.size_bytes = 0
        self.units = 0
        self.idr_interval_s = 0.0
        self.last_idr_time: int | None = None
        self.ssrc: int | None = None
        self.last_packet_s = 0.0
        self.last_report: SenderReport | None = None
        self.others = OtherSources()
        self.frames: H264Depacketizer | None = None
        if offered.track is Track.VIDEO:
            self.frames = H264Depacketizer(offered.parameter_sets)
        self._give_up_s = give_up_s if self.has_nack else min(give_up_s, NO_REPAIR_GIVE_UP_S)
        self.order: Reorder[_Packet] = Reorder(self._give_up_s, self.has_nack)
        self._time = rtp.Unwrapper(32)
        self._pending_report: rtp.ReportOfSender | None = None
        self._has_lost = False
        self.reception: ReceptionStats | None = None

    def begin(self, ssrc: int) -> None:
        """Take packets of `ssrc` from now on; those of another before it are a loss."""
        self.others.begin()
        if self.ssrc is not None:
            spent = self.order
            self.order = Reorder(self._give_up_s, self.has_nack)
            self.order.lost, self.order.late = spent.lost, spent.late
            self.order.asked, self.order.repaired = spent.asked, spent.repaired
            self._lose()
        self.ssrc = ssrc
        self.reception = ReceptionStats(ssrc, self.clock_rate)

    def is_better(self, packet: rtp.RtpPacket, now: float) -> bool:
        """Return whether the source of this packet is to be taken instead of the present one."""
        if self.frames is None:
            # Of several sounds none is the better one: the first is kept, and its creator told.
            self.others.note(packet.ssrc, len(packet.payload), self.size_bytes, now)
            return False
        return self.others.is_better(
            packet.ssrc, packet.payload, self.frames.sets.newest_sps, self.size_bytes, now
        )

    def deliver(self, deliveries: list[Delivery[_Packet]]) -> list[Media]:
        """Return the access units that these packets, in order, complete."""
        units: list[Media] = []
        for delivery in deliveries:
            packet, arrived_s = delivery.item.packet, delivery.item.arrived_s
            if delivery.lost:
                self._lose()
            if self.frames is None:
                if packet.payload:
                    units.append(self._unit((packet.payload,), packet.timestamp, True, arrived_s))
                continue
            for frame in self.frames.push(
                packet.payload, packet.timestamp, packet.is_marker, arrived_s
            ):
                self._has_lost = self._has_lost or frame.follows_loss
                units.append(self._unit(frame.nals, frame.timestamp, frame.is_idr, frame.arrived_s))
        if units and self._pending_report is not None:
            report, self._pending_report = self._pending_report, None
            units += self.report(report, None)
        return units

    def report(self, report: rtp.ReportOfSender, now: float | None) -> list[Media]:
        """Return a sender report on the unwrapped clock; kept until the first unit came."""
        if now is not None and self.reception is not None:
            self.reception.reported(report, now)
        if not self._time.has_begun:
            self._pending_report = report
            return []
        self.last_report = SenderReport(
            track=self.track,
            ntp_s=rtp.ntp_seconds(report.ntp),
            rtp_time=self._time.near(report.timestamp),
            clock_rate=self.clock_rate,
        )
        return [self.last_report]

    def _lose(self) -> None:
        if self.frames is not None:
            self.frames.lose()
        else:
            self._has_lost = True

    def _unit(
        self, payload: tuple[bytes, ...], timestamp: int, is_idr: bool, arrived_s: float
    ) -> AccessUnit:
        time = self._time.advance(timestamp)
        self.units += 1
        if is_idr and self.frames is not None:
            if self.last_idr_time is not None:
                self.idr_interval_s = (time - self.last_idr_time) / self.clock_rate
            self.last_idr_time = time
        follows_loss, self._has_lost = self._has_lost, False
        return AccessUnit(
            self.track, payload, time, self.clock_rate, is_idr, arrived_s, follows_loss
        )


class Receiver:
    """Reception of all tracks of one publisher.

    Attributes:
        sources: By track.
        unknown: Packets of a payload type or source that was not agreed on.
        malformed: Packets that broke RTP.
        plis: Keyframes asked for.
        has_left: The publisher said BYE for every source.
    """

    def __init__(
        self, tracks: tuple[OfferedTrack, ...], give_up_s: float, kbps_max: int, ssrc: int
    ) -> None:
        self.sources = {offered.track: TrackReceiver(offered, give_up_s) for offered in tracks}
        self.unknown = 0
        self.malformed = 0
        self.plis = 0
        self.has_left = False
        self._by_payload_type = {offered.payload_type: offered.track for offered in tracks}
        self._by_repeat = {
            number: offered.track for offered in tracks for number in offered.rtx_payload_types
        }
        self._bits_per_s = kbps_max * 1000
        self._ssrc = ssrc
        self._gone: set[int] = set()
        self._is_keyframe_wanted = False
        self._keyframe_asked_s = -NEVER
        self._report_due_s = -NEVER

    def request_keyframe(self) -> None:
        """Ask for a keyframe at the next `tick`, but no more often than `KEYFRAME_WAIT_S`."""
        self._is_keyframe_wanted = True

    @property
    def due_s(self) -> float:
        """Return when `tick` has something to do."""
        due = self._report_due_s
        for source in self.sources.values():
            due = min(due, source.order.due_s)
        if self._is_keyframe_wanted or self._wants_idr():
            due = min(due, self._keyframe_asked_s + KEYFRAME_WAIT_S)
        return due

    def packet(self, data: bytes, now: float) -> list[Media]:
        """Return the access units that a decrypted RTP packet completes."""
        packet = rtp.parse_rtp(data)
        if packet is None:
            self.malformed += 1
            return []
        track = self._by_payload_type.get(packet.payload_type)
        if track is None:
            return self._repeated(packet, now)
        source = self.sources[track]
        if packet.ssrc != source.ssrc:
            is_silent = source.ssrc is None or now - source.last_packet_s >= SOURCE_SILENT_S
            if not is_silent and not source.is_better(packet, now):
                self.unknown += 1
                return []
            source.begin(packet.ssrc)
        source.last_packet_s = now
        source.packets += 1
        source.size_bytes += len(packet.payload)
        if source.reception is not None:
            source.reception.count(packet, now)
        return source.deliver(source.order.push(packet.sequence, _Packet(packet, now), now))

    def control(self, data: bytes, now: float) -> list[Media]:
        """Return the sender reports in a decrypted RTCP compound."""
        reports: list[Media] = []
        for item in rtp.parse_rtcp(data):
            if isinstance(item, rtp.Goodbye):
                self._gone.update(item.ssrcs[:8])
                known = {source.ssrc for source in self.sources.values()} - {None}
                self.has_left = bool(known) and known <= self._gone
                continue
            for source in self.sources.values():
                if source.ssrc == item.ssrc:
                    reports += source.report(item, now)
        return reports

    def tick(self, now: float) -> tuple[list[Media], list[bytes]]:
        """Return what a gap held back too long releases, and the RTCP packets to send now."""
        units: list[Media] = []
        packets: list[bytes] = []
        for source in self.sources.values():
            if source.order.due_s <= now:
                units += source.deliver(source.order.expire(now))
                wanted = source.order.asks(now)
                if wanted and source.ssrc is not None:
                    packets.append(rtp.nack(self._ssrc, source.ssrc, wanted))
        video = self.sources.get(Track.VIDEO)
        if (
            video is not None
            and video.ssrc is not None
            and (self._is_keyframe_wanted or self._wants_idr())
            and now >= self._keyframe_asked_s + KEYFRAME_WAIT_S
        ):
            self._is_keyframe_wanted = False
            self._keyframe_asked_s = now
            if video.has_pli:
                self.plis += 1
                packets.append(rtp.picture_loss(self._ssrc, video.ssrc))
        if now >= self._report_due_s:
            self._report_due_s = now + REPORT_S
            packets.append(self._reports(now))
        return units, packets

    def goodbye(self) -> bytes:
        """Return the RTCP BYE: we leave."""
        return rtp.goodbye(self._ssrc)

    def _wants_idr(self) -> bool:
        video = self.sources.get(Track.VIDEO)
        return (
            video is not None
            and video.ssrc is not None
            and video.frames is not None
            and video.frames.wants_idr
        )

    def _repeated(self, packet: rtp.RtpPacket, now: float) -> list[Media]:
        """Return what a retransmission completes (RFC 4588, 4).

        Any source that uses the track's RTX payload type repeats the track's present source:
        FFmpeg names its RTX source in `ssrc-group:FID` only, browsers change it at will.
        """
        track = self._by_repeat.get(packet.payload_type)
        source = self.sources[track] if track is not None else None
        if source is None or source.ssrc is None:
            self.unknown += 1
            return []
        source.size_bytes += len(packet.payload)
        if len(packet.payload) < 3:
            return []  # a padding probe
        original = rtp.RtpPacket(
            payload_type=0,
            is_marker=packet.is_marker,
            sequence=int.from_bytes(packet.payload[:2], "big"),
            timestamp=packet.timestamp,
            ssrc=source.ssrc,
            payload=packet.payload[2:],
        )
        return source.deliver(source.order.push(original.sequence, _Packet(original, now), now))

    def _reports(self, now: float) -> bytes:
        blocks = [
            source.reception.block(now)
            for source in self.sources.values()
            if source.reception is not None
        ]
        compound = rtp.receiver_report(self._ssrc, blocks, f"vilokanam-{self._ssrc:08x}")
        limited = tuple(
            source.ssrc
            for source in self.sources.values()
            if source.has_remb and source.ssrc is not None and source.track is Track.VIDEO
        )
        if limited:
            compound += rtp.bandwidth_limit(self._ssrc, limited, self._bits_per_s)
        return compound
