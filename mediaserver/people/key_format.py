"""How a machine's key looks: ``vk_<prefix>_<secret>``. Pure."""

from __future__ import annotations

import re
from typing import Final

MARK: Final = "vk_"
"""What every key begins with, so that programs that look for leaked secrets know it."""
_KEY: Final = re.compile(r"vk_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


def prefix_of(key: str) -> str | None:
    """Return the prefix of what looks like a key, None for anything else."""
    match = _KEY.fullmatch(key)
    return None if match is None else match[1]
