"""How well a publisher's upload does: numbers for metrics, plain words for its creator."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from mediaserver.errors import MediaFormatError, PictureBoundsError
from mediaserver.h264 import parse_sps, sample_format
from mediaserver.ingest import encoder
from mediaserver.ingest.encoder import Encoder
from mediaserver.ingest.receiver import Receiver
from mediaserver.media import Track
from mediaserver.parameter_sets import ParameterSets

WINDOW_S: Final = 10
"""Seconds that rates look back on: long enough to hold a keyframe, short enough to see a fix."""
_LOSS_WORTH_WORDS: Final = 0.01
"""At 1 % missing, 400 ms of retransmission still repairs nearly everything; above it shows."""
_KEYFRAMES_APART_MAX_S: Final = 4.0
"""Longer than two default segments: viewers wait that long to start."""
_OBS: Final = re.compile(r"OBS-Studio/(\d+)\.(\d+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    size_bytes: dict[Track, int]
    packets: int
    repaired: int
    lost: int
    dropped: int
    broken: int


class UploadHealth:
    """Samples a receiver each second."""

    def __init__(self, user_agent: str) -> None:
        self._user_agent = user_agent
        self._encoder = encoder.encoder_of(user_agent)
        self._samples: deque[_Sample] = deque(maxlen=WINDOW_S + 1)

    def sample(self, receiver: Receiver, now: float) -> None:
        """Take the receiver's counters; to be called once a second."""
        sources = receiver.sources.values()
        self._samples.append(
            _Sample(
                at_s=now,
                size_bytes={source.track: source.size_bytes for source in sources},
                packets=sum(source.packets for source in sources),
                repaired=sum(source.order.repaired for source in sources),
                lost=sum(source.order.lost for source in sources),
                dropped=sum(source.frames.dropped for source in sources if source.frames),
                broken=sum(source.frames.broken for source in sources if source.frames),
            )
        )

    def facts(self, receiver: Receiver, rtt_s: float | None) -> dict[str, float]:
        """Return the numbers of a session. Totals count from its beginning, rates from 10 s ago."""
        facts: dict[str, float] = {}
        for track, source in receiver.sources.items():
            facts[f"{track.value}_kbps"] = self._kbps(track)
            facts[f"{track.value}_units"] = source.units
        sources = receiver.sources.values()
        facts["packets"] = sum(source.packets for source in sources)
        facts["lost"] = sum(source.order.lost for source in sources)
        facts["repaired"] = sum(source.order.repaired for source in sources)
        facts["nacks"] = sum(source.order.asked for source in sources)
        facts["plis"] = receiver.plis
        facts["upload_loss_percent"] = round(100 * self._loss(), 2)
        video = receiver.sources.get(Track.VIDEO)
        if video is not None and video.frames is not None:
            facts["frames_dropped"] = video.frames.dropped
            facts["keyframe_interval_s"] = video.idr_interval_s
        repair_s = max((source.order.repair_s for source in sources), default=0.0)
        facts["rtt_ms"] = round(1000 * (repair_s or rtt_s or 0.0), 1)
        return facts

    def advice(self, receiver: Receiver) -> tuple[str, ...]:
        """Return what the creator can do to make the show better, most urgent first."""
        words = []

        # A bug of an encoder, which no setting avoids.
        obs = _OBS.search(self._user_agent)
        if obs and (int(obs[1]), int(obs[2])) == (30, 1):
            words.append(
                "OBS 30.1 corrupts video that it sends again after packet loss; "
                "update to OBS 30.2 or newer."
            )

        # The network.
        loss = self._loss()
        if loss >= _LOSS_WORTH_WORDS:
            words.append(
                f"{100 * loss:.1f} % of your upload is lost on the way; "
                "lower the bitrate or use a cable instead of Wi-Fi."
            )
        span = self._span()
        broken = span[1].broken - span[0].broken if span else 0
        if broken:
            words.append(
                f"{broken} video packets of the last {WINDOW_S} s are not H.264 over RTP as "
                f"RFC 6184 wants it, so pictures are missing; {encoder.PACKETS[self._encoder]}."
            )

        # The encoder: keyframes first, since a lost picture waits for the next one.
        video = receiver.sources.get(Track.VIDEO)
        if video is not None and video.frames is not None:
            if video.last_idr_time is not None:
                unshowable = _unshowable(video.frames.sets, self._encoder)
                words += [unshowable] if unshowable else []
            if others := video.others.count(video.last_packet_s):
                words.append(
                    f"Your encoder sends {1 + others} pictures at once (simulcast) and the largest "
                    "one is shown; switch simulcast off to save upload."
                )
            if video.idr_interval_s > _KEYFRAMES_APART_MAX_S:
                words.append(
                    f"Keyframes come {video.idr_interval_s:.1f} s apart; "
                    f"{encoder.KEYFRAMES[self._encoder]}."
                )
            elif video.frames.waits_for_idr and self._dropped() > 0:
                hint = encoder.KEYFRAMES[self._encoder]
                words.append(f"The picture waits for a keyframe; {hint}.")
            if video.packets == 0 and len(self._samples) > 3:
                words.append(
                    f"No video arrives, but {receiver.unknown} packets of payload types that were "
                    "not agreed on; let the encoder send what the server's answer names."
                    if receiver.unknown
                    else "No video arrives; check that a video encoder is running."
                )
            elif not (video.units or self._dropped() or broken) and len(self._samples) > 3:
                words.append(
                    "Video packets arrive and none holds a picture; check that the encoder sends "
                    "H.264 as its offer says, and that its source is running."
                )
        audio = receiver.sources.get(Track.AUDIO)
        if audio is not None and audio.packets == 0 and len(self._samples) > 3:
            words.append("No audio arrives; check that an audio track is selected for streaming.")
        if audio is not None and (others := audio.others.count(audio.last_packet_s)):
            words.append(
                f"Your encoder sends {1 + others} sounds at once and the first one alone is heard; "
                "mix them into one track."
            )
        return tuple(words)

    def _span(self) -> tuple[_Sample, _Sample] | None:
        if len(self._samples) < 2 or self._samples[-1].at_s <= self._samples[0].at_s:
            return None
        return self._samples[0], self._samples[-1]

    def _kbps(self, track: Track) -> float:
        span = self._span()
        if span is None:
            return 0.0
        first, last = span
        size = last.size_bytes.get(track, 0) - first.size_bytes.get(track, 0)
        return round(size * 8 / 1000 / (last.at_s - first.at_s), 1)

    def _loss(self) -> float:
        """Return the share of packets of the window that were lost at the first try."""
        span = self._span()
        if span is None:
            return 0.0
        first, last = span
        missed = (last.repaired - first.repaired) + (last.lost - first.lost)
        sent = last.packets - first.packets + missed
        return missed / sent if sent > 0 else 0.0

    def _dropped(self) -> int:
        span = self._span()
        return span[1].dropped - span[0].dropped if span else 0


def _unshowable(sets: ParameterSets, kind: Encoder) -> str:
    """Return why no player can show keyframes with these sets, and what to change."""
    if not sets.is_complete:
        return (
            "Your video comes without its parameter sets (SPS and PPS), so nobody can show it; let "
            f"the encoder repeat them with each keyframe ({encoder.PARAMETER_SETS[kind]})."
        )
    try:
        parse_sps(sets.newest_sps)
        samples = sample_format(sets.newest_sps)
    except PictureBoundsError as error:
        return f"Your video is not shown: {error}."
    except MediaFormatError as error:
        return f"Your video's SPS cannot be used ({error}); update or restart the encoder."
    if (samples.chroma_format, samples.luma_depth, samples.chroma_depth) != (1, 0, 0):
        return (
            "Browsers do not show your picture's color format; use 8 bits and 4:2:0 "
            f"({encoder.COLOR[kind]})."
        )
    return ""
