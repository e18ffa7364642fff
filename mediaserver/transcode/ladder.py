"""Which renditions a source gets: never up, even sizes, shown in the source's shape.

Steps below the source have square pixels, as some players know no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mediaserver.transcode.settings import Rung

_ASPECT_MAX: Final = 4
"""Pixels more oblong than any standard's (32:11) are a damaged number, and taken for square."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transcoded rendition.

    Attributes:
        name: Its name in addresses.
        width: Even, at least 2.
        height: Even, at least 2.
        video_kbps: Target and highest bit rate.
        sample_aspect: Width and height of one of its pixels.
    """

    name: str
    width: int
    height: int
    video_kbps: int
    sample_aspect: tuple[int, int] = (1, 1)


def top_step(
    name: str, width: int, height: int, video_kbps: int, sample_aspect: tuple[int, int] = (1, 1)
) -> Step:
    """Return the step that encodes the source in its own size (4:2:0 asks for even numbers)."""
    return Step(name, max(2, width & ~1), max(2, height & ~1), video_kbps, sample_aspect)


def ladder(
    width: int,
    height: int,
    rungs: tuple[Rung, ...],
    kept: frozenset[str] = frozenset(),
    sample_aspect: tuple[int, int] = (1, 1),
) -> tuple[Step, ...]:
    """Return the transcoded steps below a source, best first.

    A rung's height is compared with the source's shorter side, so that 360p of a phone held upright
    is 360x640. A rung that is not smaller than the source is left out, as it would be the source
    again, only worse.

    Args:
        width: Pixels of the source.
        height: Pixels of the source.
        rungs: What the operator asked for, in any order.
        kept: Rungs that viewers of this show already know: a rendition must not vanish when the
            source shrinks (browsers change size in play), so these stay, at the source's size.
        sample_aspect: Width and height of one of the source's pixels.
    """
    pixel_width, pixel_height = sample_aspect
    if max(sample_aspect) <= _ASPECT_MAX * min(sample_aspect):
        # In square pixels; the height stays, as it names the picture.
        width = max(2, (width * pixel_width + pixel_height // 2) // pixel_height)
    short = min(width, height)
    steps: dict[str, Step] = {}
    for rung in sorted(rungs, key=lambda rung: (-rung.height, -rung.video_kbps)):
        side = min(rung.height, short)
        if rung.height >= short and rung.name not in kept:
            continue
        steps.setdefault(
            rung.name,
            Step(
                rung.name,
                _scaled(width, side, short),
                _scaled(height, side, short),
                rung.video_kbps,
            ),
        )
    return tuple(steps.values())


def _scaled(size: int, side: int, short: int) -> int:
    """Return `size` * side / short as the nearest even number that is not above `size`."""
    even = (size * side + short) // (2 * short) * 2
    return max(2, min(even, size & ~1))
