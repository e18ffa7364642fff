"""Whether somebody who is signed in may join a stream: one decision over what is known. Pure.

Every way to join asks here, so that a rule holds whichever way somebody comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from metering.units import Planck


class Access(StrEnum):
    """What is answered."""

    OPEN = "open"
    CLOSED = "closed"
    """The stream is closed to viewers."""
    PURSE = "purse"
    """It costs something, and they have nothing."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who would join, and what.

    Attributes:
        is_enabled: Whether the stream is open to viewers.
        planck_per_s: What a second of it costs now.
        balance: What they have, as of the newest cut; None where the chain knows.
        preview_s: How many seconds of each show are free; the claim knows how many are left.
        is_paid: Whether they have paid the most that the show on air costs.
    """

    is_enabled: bool
    planck_per_s: Planck
    balance: Planck | None
    preview_s: int = 0
    is_paid: bool = False


def may_join(visitor: Visitor) -> Access:
    """Return whether somebody may join a stream now, or the first reason why not."""
    if not visitor.is_enabled:
        return Access.CLOSED
    has_nothing = visitor.balance is not None and visitor.balance <= 0
    is_covered = bool(visitor.preview_s) or visitor.is_paid
    if visitor.planck_per_s and has_nothing and not is_covered:
        return Access.PURSE
    return Access.OPEN
