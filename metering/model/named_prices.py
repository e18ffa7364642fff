"""A price, or nothing, for a named viewer: what a stream costs them, second by second. Pure.

Source: docs/metering.md, "What a second costs".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from metering.model.price import in_force
from metering.units import Planck, PriceVersion


@dataclass(frozen=True, slots=True)
class NamedPrice:
    """A change of what a stream costs one viewer.

    Attributes:
        from_tick: First second that it holds for.
        version: A price version of the stream that is theirs alone; `units.FREE_LIST`: nothing;
            None: what it costs everybody, from then on again.
        planck_per_tick: Of that version; 0 where there is none.
    """

    from_tick: int
    version: int | None
    planck_per_tick: Planck


def prices_of(
    prices: Sequence[PriceVersion], named: Sequence[NamedPrice]
) -> tuple[PriceVersion, ...]:
    """Return the versions that one viewer pays: their own where they have any.

    What is free to everybody is free to them, and not claimed.

    Args:
        prices: Of the stream, for everybody.
        named: Of the viewer; of two with the same second there is none.
    """
    merged: list[PriceVersion] = []
    changes = {item.from_tick for item in prices} | {item.from_tick for item in named}
    for tick in sorted(changes):
        version = in_force(prices, tick)
        own = max(
            (item for item in named if item.from_tick <= tick),
            key=lambda item: item.from_tick,
            default=None,
        )
        if version is None:
            continue
        if own is not None and own.version is not None and version.planck_per_tick:
            version = PriceVersion(own.version, tick, own.planck_per_tick)
        if not merged or merged[-1].number != version.number:
            merged.append(replace(version, from_tick=tick))
    return tuple(merged)
