"""When a balance that runs down is worth a letter: once a crossing. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from metering.units import Planck


class Letter(StrEnum):
    """What is told."""

    LOW = "low"
    """The balance is below what its owner named."""
    END = "end"
    """It pays for not one second more of what they watch."""


@dataclass(frozen=True, slots=True)
class Crossed:
    """What somebody asked for, and what was told since.

    Attributes:
        threshold: Planck; a balance below it is low.
        is_low: It was below when it was last looked at.
        ended: The balance when its end was told; None: it was not told, or money came in since.
    """

    threshold: Planck
    is_low: bool = False
    ended: Planck | None = None


def look(known: Crossed, balance: Planck, second: Planck) -> tuple[Crossed, Letter | None]:
    """Return what is known after a look at a balance, and the letter that it is worth, if any.

    A balance that falls past both at once is worth the second letter alone.

    Args:
        second: What a second of the cheapest stream that they watch costs; 0 where none costs
            anything.
    """
    is_low = balance < known.threshold
    is_over = balance < max(second, 1)
    ended = known.ended
    if not is_over and ended is not None and balance > ended:
        ended = None
    if is_over and ended is None:
        return replace(known, is_low=is_low, ended=balance), Letter.END
    letter = Letter.LOW if is_low and not known.is_low and not is_over else None
    return replace(known, is_low=is_low, ended=ended), letter
