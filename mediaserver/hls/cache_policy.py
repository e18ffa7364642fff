"""Cache-Control for each kind of answer, as a table; and the headers that every answer carries.

The origin sends it and `cdn` writes it into edges, from here only. Everything below `<show>` keeps
its bytes once it exists; what does not exist yet must not be remembered as missing.
Lifetimes follow rfc8216bis, Appendix B. What carries a viewer does not pass here: bytes are the
same for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

YEAR_S: Final = 31_536_000
DAY_S: Final = 86_400


class Kind(Enum):
    """What is answered about."""

    MULTIVARIANT = "multivariant"
    PLAYLIST = "playlist"
    BLOCKING_PLAYLIST = "blocking_playlist"
    ENDED_PLAYLIST = "ended_playlist"
    INIT = "init"
    MEDIA = "media"
    GONE = "gone"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long caches may keep an answer; the longest of the given terms holds.

    Attributes:
        seconds: Fixed term.
        targets_milli: Thousandths of TARGETDURATION, rounded down to seconds.
        is_window: The playlist's window is a term too.
        is_immutable: The bytes at this address never change.
        is_of_a_part: Not by the terms above, but for a part: no longer than one in a viewer's own
            cache, a second at least in a shared one.
    """

    seconds: int = 1
    targets_milli: int = 0
    is_window: bool = False
    is_immutable: bool = False
    is_of_a_part: bool = False


_MEDIA: Final = Lifetime(targets_milli=6000, is_window=True, is_immutable=True)
_INIT: Final = Lifetime(YEAR_S, is_immutable=True)

TABLE: Final[dict[tuple[Kind, int], Lifetime]] = {
    (Kind.MULTIVARIANT, 200): Lifetime(1),
    (Kind.PLAYLIST, 200): Lifetime(1, targets_milli=500),
    # rfc8216bis, Appendix B allows six targets. But video.js asks the same question again after
    # the last part of a segment, and its browser's cache gave it the old answer for 18 s: a stall.
    # A second in shared caches is all that helps there, as all players of a part ask within it.
    (Kind.BLOCKING_PLAYLIST, 200): Lifetime(is_of_a_part=True),
    (Kind.ENDED_PLAYLIST, 200): Lifetime(DAY_S),
    (Kind.INIT, 200): _INIT,
    (Kind.INIT, 206): _INIT,
    (Kind.MEDIA, 200): _MEDIA,
    (Kind.MEDIA, 206): _MEDIA,
    (Kind.GONE, 404): Lifetime(1, targets_milli=1000),
}
"""Kind of answer and status to lifetime; a 304 is as the 200 it confirms; all else: `no-store`."""

NO_STORE: Final = "no-store"

COMMON_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", "Age, Date, ETag, Content-Length, Content-Range"),
    ("Timing-Allow-Origin", "*"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
)
"""On every answer, errors too."""

PREFLIGHT_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
    (
        "Access-Control-Allow-Headers",
        "Range, If-None-Match, If-Range, CMCD-Request, CMCD-Object, CMCD-Status, CMCD-Session",
    ),
    ("Access-Control-Max-Age", "86400"),
)
"""On the answer to OPTIONS, beside the common ones."""


def cache_control(
    kind: Kind, status: int, target_duration_s: int, window_ms: int, part_target_ms: int
) -> str:
    """Return the value of Cache-Control for a show of this TARGETDURATION, window and PART-TARGET.

    Returns:
        ``public, max-age=…``, with ``immutable`` where it is, with ``s-maxage`` where shared caches
        may keep it longer than a viewer's own; ``no-store`` where the table has no line.
    """
    rule = TABLE.get((kind, 200 if status == 304 else status))
    if rule is None:
        return NO_STORE
    if rule.is_of_a_part:
        shared_s = max(1, -(-part_target_ms // 1000))
        return f"public, max-age={part_target_ms // 1000}, s-maxage={shared_s}"
    age_max_s = max(
        rule.seconds,
        rule.targets_milli * target_duration_s // 1000,
        -(-window_ms // 1000) if rule.is_window else 0,
    )
    return f"public, max-age={age_max_s}" + (", immutable" if rule.is_immutable else "")
