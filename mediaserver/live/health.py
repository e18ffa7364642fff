"""The show's health for its creator: numbers, and advice in plain words. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.ingest import encoder
from mediaserver.ingest.encoder import Encoder
from mediaserver.ipc.messages import Health

_FRAME_RATES_MILLI = (
    15_000,
    23_976,
    24_000,
    25_000,
    29_970,
    30_000,
    48_000,
    50_000,
    59_940,
    60_000,
)


@dataclass(frozen=True, slots=True)
class ShowFacts:
    """What the composition knows of a show.

    Attributes:
        state: ``live``, ``waiting``, ``restarting`` or ``ended``.
        renditions: How many viewers can choose from.
        frame_rate_milli: Frames per 1000 s of the source; 0 without video.
        source_bps: Bits per second of the top rendition.
        gop_ms: Distance of the publisher's keyframes; 0 while unknown.
        is_reencoding: The source is encoded again.
        has_b_frames: Because of B-frames.
        frames_dropped: Frames that were too slow to make, all renditions together.
        is_video_ignored: A show without video got a publisher with video.
        time_cuts: How often time stamps ran ahead of the clock and were cut.
        time_advice: What the creator should know of their time stamps.
        late_gop_ms: The distance of keyframes for which the source is encoded again.
        is_video_absent: A publisher offered a picture and sends sound only.
        width: Pixels of the top rendition; 0 without video.
        height: The same.
    """

    state: str
    renditions: int
    frame_rate_milli: int
    source_bps: int
    gop_ms: int
    is_reencoding: bool
    has_b_frames: bool
    frames_dropped: int
    is_video_ignored: bool
    time_cuts: int = 0
    time_advice: tuple[str, ...] = ()
    late_gop_ms: int = 0
    is_video_absent: bool = False
    width: int = 0
    height: int = 0


HEAVY_BPS: Final = 15_000_000
"""More than any service asks for a picture of 1080 lines (12 Mbit/s at 60 frames), and than many
lines to a home carry beside all else."""

Upload = tuple[dict[str, float], tuple[str, ...], Encoder]
"""What ingest measured, what it advises, and whose settings advice is to name."""


def report(
    show: ShowFacts,
    upload_facts: dict[str, float],
    upload_advice: tuple[str, ...],
    kind: Encoder = Encoder.OTHER,
) -> Health:
    """Return the show's health.

    Args:
        upload_facts: What ingest measured; its numbers come along with ours.
        upload_advice: What ingest advises; it comes after ours, without what repeats ours.
    """
    # Numbers: ingest's, and ours beside them.
    facts = {
        **upload_facts,
        "fps": show.frame_rate_milli / 1000,
        "width": show.width,
        "height": show.height,
        "kbps": round(show.source_bps / 1000),
        "gop_s": show.gop_ms / 1000,
        "renditions": show.renditions,
        "reencoding": int(show.is_reencoding),
        "frames_not_made": show.frames_dropped,
        "time_cuts": show.time_cuts,
    }

    # Advice, most useful first. A reencoded picture has one cause: B-frames, or rare keyframes.
    advice = list(show.time_advice)
    if show.has_b_frames:
        advice.append(
            "Your encoder sends B-frames, so the picture is encoded again here and loses quality: "
            f"{encoder.B_FRAMES[kind]}."
        )
    elif show.is_reencoding:
        # The distance that made it so: the newest may fit again, and would contradict the advice.
        late_s = max(show.late_gop_ms, show.gop_ms) / 1000
        advice.append(
            f"Your keyframes were up to {late_s:.1f} s apart, so the picture is encoded again here "
            f"and loses quality: {encoder.KEYFRAMES[kind]}."
        )
        upload_advice = tuple(a for a in upload_advice if "keyframe" not in a.lower())
    if show.is_video_ignored:
        advice.append(
            "This show began with sound only, so your picture is not shown: stop, wait until the "
            "show has ended, and start again."
        )
    if show.is_video_absent:
        effect, remedy = "viewers see a pause", ""
        if show.width == 0:
            effect = "viewers hear sound only"
            remedy = ", stop, wait until the show has ended, and start again"
        advice.append(
            f"Your encoder offered a picture and sends none, so {effect}: check its video source"
            f"{remedy}."
        )
    if show.source_bps > HEAVY_BPS:
        advice.append(
            f"Your show takes {show.source_bps / 1_000_000:.0f} Mbit/s, which everybody who "
            "watches its best quality has to download; many cannot, and see it stop: set your "
            "encoder's bitrate to 6,000 kbit/s."
        )
    advice += upload_advice
    if show.frames_dropped:
        advice.append(
            f"{show.frames_dropped} frames could not be made in time: the server is too busy for "
            "all renditions."
        )
    return Health(show.state, facts, tuple(advice))


def frame_rate_milli(frames: int, span_ms: int) -> int:
    """Return frames per 1000 s of `frames` that last `span_ms`, as the usual rate if within 1 %."""
    if frames <= 0 or span_ms <= 0:
        return 0
    measured = frames * 1_000_000 // span_ms
    nearest = min(_FRAME_RATES_MILLI, key=lambda rate: abs(rate - measured))
    return nearest if abs(nearest - measured) * 100 <= nearest else measured
