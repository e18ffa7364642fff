"""The show's health for its creator: numbers, and advice in plain words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

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
        state: ``live``, ``waiting`` or ``ended``.
        renditions: How many viewers can choose from.
        frame_rate_milli: Frames per 1000 s of the source; 0 without video.
        source_bps: Bits per second of the top rendition.
        gop_ms: Distance of the publisher's keyframes; 0 while unknown.
        is_reencoding: The source is encoded again.
        has_b_frames: Because of B-frames.
        frames_dropped: Frames that were too slow to make, all renditions together.
        is_video_ignored: A show without video got a publisher with video.
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


def report(
    show: ShowFacts, upload_facts: dict[str, float], upload_advice: tuple[str, ...]
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
        "kbps": round(show.source_bps / 1000),
        "gop_s": show.gop_ms / 1000,
        "renditions": show.renditions,
        "reencoding": int(show.is_reencoding),
        "frames_not_made": show.frames_dropped,
    }

    # Advice, most useful first. A reencoded picture has one cause: B-frames, or rare keyframes.
    advice: list[str] = []
    if show.has_b_frames:
        advice.append(
            "Your encoder sends B-frames, so the picture is encoded again here and loses quality: "
            "in OBS, Settings, Output, Streaming, set B-frames to 0 (x264: bframes=0)."
        )
    elif show.is_reencoding:
        advice.append(
            f"Your keyframes are {show.gop_ms / 1000:.1f} s apart, so the picture is encoded again "
            "here and loses quality: in OBS, Settings, Output, Streaming, "
            "Keyframe interval: set 2 s."
        )
        upload_advice = tuple(a for a in upload_advice if "keyframe interval" not in a.lower())
    if show.is_video_ignored:
        advice.append(
            "This show began with sound only, so your picture is not shown: stop, wait until the "
            "show has ended, and start again."
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
