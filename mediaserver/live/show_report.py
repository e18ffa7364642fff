"""What a broadcast knows of its show, gathered for the creator's report (`health`)."""

from __future__ import annotations

from mediaserver.clock import Clock
from mediaserver.hls.slots import EARLY_WAIT_MS, early_text
from mediaserver.live.broadcast_clock import BroadcastClock
from mediaserver.live.health import ShowFacts
from mediaserver.live.media_pipeline import MediaPipeline
from mediaserver.live.show_writer import ShowWriter
from mediaserver.live.stray_time import StrayTime


def show_facts(  # noqa: PLR0917 - the parts of a broadcast, all named
    state: str,
    show: ShowWriter,
    media_clock: BroadcastClock,
    pipeline: MediaPipeline | None,
    stray_time: StrayTime,
    clock: Clock,
) -> ShowFacts:
    """Return the facts of a show that is in `state`."""
    top = show.top
    shown = top.describe() if top else None
    return ShowFacts(
        state=state,
        renditions=len(show.announced),
        frame_rate_milli=top.frame_rate_milli if top else 0,
        source_bps=top.newest_bps if top else 0,
        gop_ms=media_clock.gop_ms,
        late_gop_ms=media_clock.late_gop_ms,
        is_reencoding=media_clock.is_reencoding,
        has_b_frames=pipeline is not None and pipeline.has_b_frames,
        frames_dropped=show.frames_dropped,
        is_video_ignored=media_clock.ignores_picture,
        time_cuts=stray_time.ahead,
        time_advice=stray_time.advice(
            clock.monotonic(), early_text(show.floor_ms, clock.now_ms(), EARLY_WAIT_MS)
        ),
        is_video_absent=media_clock.lacks_picture,
        width=shown.width if shown else 0,
        height=shown.height if shown else 0,
    )
