"""What a stream may be called: its public name, and its title. Pure."""

from __future__ import annotations

import re
from typing import Final

from metering.errors import InvalidValueError

SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")
RESERVED_SLUGS: Final = frozenset(
    {"api", "assets", "healthz", "readyz", "metrics", "favicon.ico", "whip"}
    | {"studio", "console", "search", "browse", "join", "hooks"}
)
"""First segments of other addresses, as is all that is shorter than three characters (``w``,
``me``)."""
TITLE_MAX: Final = 200


def require_title(title: str) -> None:
    """Hold that a stream may have a title.

    Raises:
        InvalidValueError: It may not.
    """
    if not title.strip() or len(title) > TITLE_MAX:
        raise InvalidValueError(
            f"a title has 1 to {TITLE_MAX} characters, not all of them spaces; this one has "
            f"{len(title)}"
        )


def slug_fault(slug: str) -> str:
    """Return why a stream cannot be called this, or nothing when it can."""
    if SLUG.fullmatch(slug) and slug not in RESERVED_SLUGS:
        return ""
    return (
        f"slug {slug!r}: use 3 to 63 of a-z, 0-9 and -, not beginning with -, "
        f"and none of {', '.join(sorted(RESERVED_SLUGS))}"
    )
