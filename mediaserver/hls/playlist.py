"""Multivariant and media playlists as text (draft-pantos-hls-rfc8216bis).

Every URI is relative, so the viewer's prefix is inherited and the text is the same for all. Times
are whole milliseconds and EXTINF is the difference of the segment's ends, so PROGRAM-DATE-TIME is
always the previous one plus EXTINF.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from mediaserver.hls import addresses
from mediaserver.hls.rendition_window import Window
from mediaserver.hls.window_entries import PartEntry, SegmentEntry
from mediaserver.media import AAC_FRAME_SAMPLES, AUDIO_TIMESCALE, Rendition

VERSION_MEDIA: Final = 9
"""EXT-X-SKIP needs 9 (rfc8216bis, 8), and any of these lists may be answered with one."""
VERSION_MULTIVARIANT: Final = 6
AAC_FRAME_MS: Final = -(-AAC_FRAME_SAMPLES * 1000 // AUDIO_TIMESCALE)
"""One AAC frame, rounded up: 22."""
BANDWIDTH_STEP: Final = 10_000
"""In bits per second: so coarse that the text changes only when there is something new."""
HOLD_BACK_PARTS: Final = 3
"""Apple's authoring rules; rfc8216bis says SHOULD."""
HOLD_BACK_TARGETS: Final = 3
SKIP_TARGETS: Final = 6
PARTS_LISTED_TARGETS: Final = 3
"""rfc8216bis, 4.4.4.9: parts this far from the edge leave the list."""


def part_target_ms(window: Window, rendition: str) -> int:
    """Return PART-TARGET: audio alone cannot be cut finer than a frame, so it has one more."""
    is_audio = window.is_audio(rendition)
    return window.opened.part_target_ms + (AAC_FRAME_MS if is_audio else 0)


def multivariant(window: Window) -> str:
    """Return the multivariant playlist; each rendition is a variant, sound muxed in."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION_MULTIVARIANT}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for rendition in window.renditions:
        peak_bps = window.peak_bps(rendition.name)
        lines.append("#EXT-X-STREAM-INF:" + ",".join(_variant(rendition, peak_bps)))
        lines.append(addresses.playlist_uri(window.opened.show, rendition.name))
    return "\n".join(lines) + "\n"


def media(window: Window, rendition: str, *, is_delta: bool = False) -> str:
    """Return the media playlist of a rendition that has at least one part.

    With `is_delta` the client asked to skip what it knows; granted only where it can merge.
    """
    listed = window.listed(rendition)
    target_ms = window.opened.target_duration_s * 1000
    follows_ms = _following(listed)
    lines = _head(window, rendition, listed)
    skipped = _skippable(listed, follows_ms, SKIP_TARGETS * target_ms) if is_delta else 0
    if skipped:
        lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
    init_hash = ""
    parts_msn = _first_with_parts(listed, follows_ms, PARTS_LISTED_TARGETS * target_ms)
    for entry in listed[skipped:]:
        if entry.is_discontinuity:
            lines.append("#EXT-X-DISCONTINUITY")
        if entry.init_hash and entry.init_hash != init_hash:
            init_hash = entry.init_hash
            lines.append(f'#EXT-X-MAP:URI="{addresses.init_name(init_hash)}"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(entry.start_ms)}")
        if entry.msn >= parts_msn:
            lines.extend(map(_part, entry.listed_parts))
        if entry.is_ended:
            lines.extend(_segment(entry))
    lines.extend(_tail(window, rendition))
    return "\n".join(lines) + "\n"


def _variant(rendition: Rendition, peak_bps: int) -> list[str]:
    # rfc8216bis, 4.4.6.2: no segment that is listed has more, so what was measured here counts
    # when the worker's last word is older.
    bandwidth_bps = max(rendition.bandwidth_bps, -(-peak_bps // BANDWIDTH_STEP) * BANDWIDTH_STEP)
    fields = [
        f"BANDWIDTH={bandwidth_bps}",
        f"AVERAGE-BANDWIDTH={rendition.average_bandwidth_bps}",
        f'CODECS="{",".join(rendition.codecs)}"',
    ]
    if rendition.has_video:
        fields.append(f"RESOLUTION={rendition.width}x{rendition.height}")
    if rendition.frame_rate_milli:
        fields.append(f"FRAME-RATE={_thousandths(rendition.frame_rate_milli)}")
    return fields


def _head(window: Window, rendition: str, listed: tuple[SegmentEntry, ...]) -> list[str]:
    opened = window.opened
    target_s = opened.target_duration_s
    # SERVER-CONTROL is equal in all renditions, so the longest PART-TARGET counts.
    hold_back_ms = HOLD_BACK_PARTS * (opened.part_target_ms + AAC_FRAME_MS)
    control = (
        f"CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL={SKIP_TARGETS * target_s}.0"
        f",HOLD-BACK={HOLD_BACK_TARGETS * target_s}.0"
        f",PART-HOLD-BACK={_thousandths(hold_back_ms)}"
    )
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION_MEDIA}",
        f"#EXT-X-TARGETDURATION:{target_s}",
        f"#EXT-X-SERVER-CONTROL:{control}",
        f"#EXT-X-PART-INF:PART-TARGET={_thousandths(part_target_ms(window, rendition))}",
        f"#EXT-X-MEDIA-SEQUENCE:{listed[0].msn}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{window.discontinuity_sequence(listed[0].msn)}",
    ]
    if all(entry.is_gap or entry.parts[0].is_independent for entry in listed):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    return lines


def _following(listed: tuple[SegmentEntry, ...]) -> list[int]:
    """Return how much media, in ms, the list holds after each segment."""
    later_ms, follows_ms = 0, []
    for entry in reversed(listed):
        follows_ms.append(later_ms)
        later_ms += entry.listed_end_ms - entry.start_ms
    return follows_ms[::-1]


def _first_with_parts(
    listed: tuple[SegmentEntry, ...], follows_ms: list[int], until_ms: int
) -> int:
    """Return the media sequence number from which on parts are listed.

    None up to a gap: hls.js 1.7 that has all parts of a list waits for more, and goes past the
    gap when it finds none.
    """
    first = listed[-1].msn + 1
    for entry, later_ms in zip(reversed(listed), reversed(follows_ms), strict=True):
        if later_ms >= until_ms or (entry.is_ended and entry.is_gap):
            break
        first = entry.msn
    return first


def _skippable(listed: tuple[SegmentEntry, ...], follows_ms: list[int], until_ms: int) -> int:
    """Return how many segments a delta leaves out.

    Only those beyond the skip boundary, and none when a discontinuity is among them: players lose
    count of what they did not read (video-dev/hls.js#7431). The first that stays repeats its MAP.
    """
    skipped = sum(later_ms >= until_ms for later_ms in follows_ms)
    return 0 if any(entry.is_discontinuity for entry in listed[:skipped]) else skipped


def _part(part: PartEntry) -> str:
    line = (
        f'#EXT-X-PART:DURATION={_seconds(part.duration_us)},URI="{addresses.part_name(part.slot)}"'
    )
    return line + (",INDEPENDENT=YES" if part.is_independent else "")


def _segment(entry: SegmentEntry) -> list[str]:
    return [
        *(["#EXT-X-GAP"] if entry.is_gap else []),
        f"#EXTINF:{_thousandths(entry.end_ms - entry.start_ms)},",
        addresses.segment_name(entry.msn, entry.named_run.first, entry.named_run.count),
    ]


def _tail(window: Window, rendition: str) -> list[str]:
    if window.is_ended:
        return ["#EXT-X-ENDLIST"]
    lines = []
    hint = window.hint(rendition)
    if hint:
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{addresses.part_name(hint)}"')
    for other in window.renditions:
        if other.name != rendition and (listed := window.listed(other.name)):
            uri = addresses.sibling_uri(other.name)
            msn, parts = listed[-1].msn, len(listed[-1].listed_parts)
            last_part = f",LAST-PART={parts - 1}" if parts else ""  # After a gap none is listed.
            lines.append(f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={msn}{last_part}')
    return lines


def _date(unix_ms: int) -> str:
    whole = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{unix_ms % 1000:03}Z"


def _thousandths(value: int) -> str:
    return f"{value // 1000}.{value % 1000:03}"


def _seconds(duration_us: int) -> str:
    """Return seconds, never rounded up: a part may not be longer than PART-TARGET."""
    if duration_us % 1000 == 0:
        return _thousandths(duration_us // 1000)
    return f"{duration_us // 1_000_000}.{duration_us % 1_000_000:06}"
