"""How fast one player may take media: the limit that keeps one payment to one player.

Each session has a bucket for video and one for audio; where video carries its sound, as it does in
all that this server makes, only the first is drawn from. A bucket holds min(window, 60 s) + 30 s of
media and refills at 2.2 s per second, so parts and then their segment, or double speed, pass. The
scripts in metering/store/scripts keep the same sums; this file is what they are judged by.

Levels are counted in fifths of a millisecond of media: 2.2 ms per ms is then 11, a whole number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FIFTHS_PER_MS: Final = 5
REFILL_FIFTHS_PER_MS: Final = 11
"""2.2 s of media per second: twice the speed of play, and a tenth for jitter."""
WINDOW_MAX_MS: Final = 60_000
SPARE_MS: Final = 30_000
"""What a laptop that wakes may fetch beyond the window."""


def cap_fifths(window_ms: int) -> int:
    """Return how much a bucket holds, for a playlist window of `window_ms`."""
    return (min(window_ms, WINDOW_MAX_MS) + SPARE_MS) * FIFTHS_PER_MS


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a session may still take.

    Attributes:
        level: Fifths of a millisecond of media.
        at_ms: When that was true.
    """

    level: int
    at_ms: int


def refill(bucket: Bucket, now_ms: int, cap: int) -> Bucket:
    """Return the bucket as it is now; a clock that went back fills it."""
    passed = now_ms - bucket.at_ms
    level = cap if passed < 0 else min(cap, bucket.level + REFILL_FIFTHS_PER_MS * passed)
    return Bucket(level, now_ms)


def draw(bucket: Bucket, media_ms: int, now_ms: int, cap: int) -> Bucket | None:
    """Return the bucket after `media_ms` were taken from it, None when it does not hold so much."""
    full = refill(bucket, now_ms, cap)
    left = full.level - media_ms * FIFTHS_PER_MS
    return Bucket(left, now_ms) if left >= 0 else None
