"""A price, or nothing, for a named viewer: what a stream costs them, second by second. Pure.

Source: docs/metering.md, "What a second costs".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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


def held_from(named: Sequence[NamedPrice], tick: int) -> list[NamedPrice]:
    """Return what holds for one viewer at a second, which then begins there, and all later ones."""
    later = [item for item in named if item.from_tick > tick]
    begun = [item for item in named if item.from_tick <= tick]
    return [*(replace(item, from_tick=tick) for item in begun[-1:]), *later]


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
    begins: dict[int, PriceVersion] = {}
    for item in sorted(prices, key=lambda item: (item.from_tick, item.number)):
        begins[item.from_tick] = item
    own_begins = {item.from_tick: item for item in named}
    everybodys: PriceVersion | None = None
    own: NamedPrice | None = None
    # Once through both: control does this for every named viewer, with every push of the policy.
    for tick in sorted(begins.keys() | own_begins.keys()):
        everybodys, own = begins.get(tick, everybodys), own_begins.get(tick, own)
        if everybodys is None:
            continue
        version = everybodys
        if own is not None and own.version is not None and version.planck_per_tick:
            version = PriceVersion(own.version, tick, own.planck_per_tick)
        if not merged or merged[-1].number != version.number:
            merged.append(replace(version, from_tick=tick))
    return tuple(merged)
