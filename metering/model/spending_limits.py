"""What may be spent at most: the operator's limits and a viewer's own, of which the lower counts.

Source: docs/metering.md, "Money".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from metering.settings import PriceSettings
from metering.units import Planck, Units

NO_LIMIT: Final = Planck(0)


@dataclass(frozen=True, slots=True)
class SpendingLimits:
    """Planck that may be spent at most; 0 is no limit.

    Attributes:
        session: By one player.
        stream: On one stream, in all.
        day: In one UTC day.
    """

    session: Planck = NO_LIMIT
    stream: Planck = NO_LIMIT
    day: Planck = NO_LIMIT

    def within(self, other: SpendingLimits) -> SpendingLimits:
        """Return what holds where both do."""
        return SpendingLimits(
            lower(self.session, other.session),
            lower(self.stream, other.stream),
            lower(self.day, other.day),
        )


def lower(one: Planck, other: Planck) -> Planck:
    """Return the lower of two limits, of which 0 is none."""
    return min(one, other) if one and other else max(one, other)


def limit_units(planck: Planck, quantum: int) -> Units:
    """Return a limit as the store counts it: 0 only where it is none.

    One that was set in another quantum, and is below one unit now, is one unit.
    """
    return Units(max(planck // quantum, 1) if planck else 0)


def operator_limits(price: PriceSettings) -> SpendingLimits:
    """Return what the operator allows to be spent."""
    return SpendingLimits(
        Planck(int(price.session_limit_planck)),
        Planck(int(price.stream_limit_planck)),
        Planck(int(price.day_limit_planck)),
    )
