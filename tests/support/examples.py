"""How many examples a property with a number of its own is tried with."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from hypothesis import settings

_SHARE: Final = 10 if os.environ.get("VILOKANAM_PROFILE") == "quick" else 1


def examples(number: int) -> Callable[[Any], Any]:
    """Return the decorator for `number` examples; `make unit` tries a tenth, one at least."""
    return settings(max_examples=max(1, number // _SHARE), deadline=None)
