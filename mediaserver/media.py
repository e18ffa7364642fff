"""What rooms hand each other: access units in, samples and parts out.

Times: the media timeline is whole milliseconds of Unix time (docs/metering.md, "Time"). RTP times
are unwrapped integers of the track's own clock. Nothing here does I/O.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

VIDEO_TIMESCALE: Final = 90_000
AUDIO_TIMESCALE: Final = 48_000
AAC_FRAME_SAMPLES: Final = 1024


class Track(Enum):
    """What a sample is a sample of."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded frame as it came from the publisher.

    Attributes:
        track: Video or audio.
        payload: H.264: its NAL units in order, without start codes or sizes. Opus: one packet.
        rtp_time: Unwrapped RTP timestamp in `clock_rate` units; may start anywhere.
        clock_rate: 90000 for video, 48000 for Opus.
        is_idr: True when a decoder can start here. Always True for audio.
        arrived_s: Monotonic seconds when its first packet came.
        follows_loss: True when media before it was lost and given up.
    """

    track: Track
    payload: tuple[bytes, ...]
    rtp_time: int
    clock_rate: int
    is_idr: bool
    arrived_s: float
    follows_loss: bool = False


@dataclass(frozen=True, slots=True)
class SenderReport:
    """The same instant on the sender's wall clock and on a track's RTP clock (RTCP SR).

    Attributes:
        track: Which track's RTP clock.
        ntp_s: Seconds of the sender's wall clock (any epoch; only differences between tracks
            count).
        rtp_time: Unwrapped RTP time at that instant.
        clock_rate: RTP units per second.
    """

    track: Track
    ntp_s: float
    rtp_time: int
    clock_rate: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One encoded frame on the media timeline.

    Attributes:
        track: Video or audio.
        payload: H.264: its NAL units without start codes, sizes or parameter sets. AAC: one raw
            frame.
        time: Timeline position. Video: whole milliseconds of Unix time. Audio: 1/48000 s since
            the Unix epoch.
        is_idr: A decoder can start here. Always True for audio.
    """

    track: Track
    payload: tuple[bytes, ...]
    time: int
    is_idr: bool


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What an H.264 track is.

    Attributes:
        sps: Sequence parameter set, one NAL unit without start code.
        pps: Picture parameter set, likewise.
        width: Luma pixels after cropping.
        height: Luma pixels after cropping.
        codec: RFC 6381 name, such as ``avc1.64001f``.
    """

    sps: bytes
    pps: bytes
    width: int
    height: int
    codec: str


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """What an AAC track is.

    Attributes:
        config: AudioSpecificConfig (ISO/IEC 14496-3), the bytes that esds carries.
        channels: 1 or 2.
        codec: RFC 6381 name, ``mp4a.40.2``.
    """

    config: bytes
    channels: int
    codec: str = "mp4a.40.2"


@dataclass(frozen=True, slots=True)
class Rendition:
    """One rung of quality as a playlist describes it.

    Attributes:
        name: Path element, such as ``source``, ``360p`` or ``audio``.
        codecs: RFC 6381 names, video first.
        bandwidth_bps: Peak bits per second of its segments (BANDWIDTH).
        average_bandwidth_bps: Mean bits per second (AVERAGE-BANDWIDTH).
        width: Pixels; 0 when there is no video.
        height: Pixels; 0 when there is no video.
        frame_rate_milli: Frames per 1000 s; 0 when there is no video.
    """

    name: str
    codecs: tuple[str, ...]
    bandwidth_bps: int
    average_bandwidth_bps: int
    width: int = 0
    height: int = 0
    frame_rate_milli: int = 0

    @property
    def has_video(self) -> bool:
        """True when it shows a picture."""
        return self.height > 0


@dataclass(frozen=True, slots=True)
class Slot:
    """The planned interval of one part, fixed when the part opens and shared by every rendition.

    Attributes:
        msn: Media sequence number of its segment, from 0.
        part: Part index in the segment, from 0.
        start_ms: Timeline position where it begins.
        planned_end_ms: Where it ends if nothing ends it early.
        is_filler: Its media is ours, for the time in which no publisher is there: it has no tick.
    """

    msn: int
    part: int
    start_ms: int
    planned_end_ms: int
    is_filler: bool = False

    @property
    def first_tick(self) -> int:
        """Return the first Unix second that the plan touches."""
        return self.start_ms // 1000

    @property
    def tick_count(self) -> int:
        """Return how many Unix seconds the plan touches: floor(t0/1000) up to ceil(t1/1000)-1."""
        if self.is_filler:
            return 0
        return -(-self.planned_end_ms // 1000) - self.first_tick


@dataclass(frozen=True, slots=True)
class Part:
    """One partial segment of one rendition.

    Attributes:
        rendition: Name of the rendition.
        slot: Its planned interval.
        end_ms: Where it really ended, at or before `slot.planned_end_ms`.
        duration_us: What EXT-X-PART says, in microseconds (audio-only parts may run over the slot
        by one frame).
        is_independent: It begins with a frame that a decoder can start at.
        init_hash: Which init it needs.
        payload: One CMAF chunk (moof, then mdat) per part.
        held_ms: Where the publisher's media end in it, before `end_ms` when silence of ours fills
            the rest; None: at `end_ms`.
        is_gap: The publisher sent pictures for it and the encoder made none in time.
    """

    rendition: str
    slot: Slot
    end_ms: int
    duration_us: int
    is_independent: bool
    init_hash: str
    payload: bytes
    is_gap: bool = False
    held_ms: int | None = None
