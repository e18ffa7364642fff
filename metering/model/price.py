"""What a tick costs: the version in force at that tick, in units that Redis can count exactly.

The bounds below keep every product that a script computes under 2**53, where a Lua number is still
exact (docs/metering.md, "Money").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from metering.errors import InvalidValueError
from metering.units import FREE_LIST, Planck, PricedRun, PriceVersion, Run, Units

TICKS_PER_CLAIM_MAX: Final = 1024
"""Seventeen minutes in one media object: far above any segment."""
UNITS_PER_TICK_MAX: Final = 2**43 - 1
"""Times `TICKS_PER_CLAIM_MAX` it stays below 2**53."""
PREVIEW_MAX_S: Final = 86_400
"""A day: a stream that is free for longer needs no price."""
UNITS_MAX: Final = 2**62
"""No amount in Redis is above: sums of two stay inside signed 64 bits."""


def to_units(planck: Planck, quantum: int) -> Units:
    """Return the amount as units.

    Raises:
        InvalidValueError: If it is not a whole number of units: nothing is ever rounded.
    """
    units, rest = divmod(planck, quantum)
    if rest:
        raise InvalidValueError(
            f"{planck} planck is not a multiple of the quantum {quantum}: change the price or "
            "price.quantum_planck"
        )
    return Units(units)


def in_force(prices: Sequence[PriceVersion], tick: int) -> PriceVersion | None:
    """Return the version in force at a tick, None before the first: such a tick is free."""
    newest: PriceVersion | None = None
    for version in prices:
        if version.from_tick <= tick and (
            newest is None
            or (version.from_tick, version.number) > (newest.from_tick, newest.number)
        ):
            newest = version
    return newest


def next_change(prices: Sequence[PriceVersion], tick: int) -> PriceVersion | None:
    """Return the next version after a tick that costs something else than that tick, or None."""
    now = in_force(prices, tick)
    planck = now.planck_per_tick if now else Planck(0)
    for first in sorted({version.from_tick for version in prices if version.from_tick > tick}):
        version = in_force(prices, first)
        if version is not None and version.planck_per_tick != planck:
            return version
    return None


def priced_runs(prices: Sequence[PriceVersion], run: Run, quantum: int) -> tuple[PricedRun, ...]:
    """Split a run by price version and leave out what is free.

    Returns:
        Runs in order, each with its version and price; empty when the whole run is free. What a
        named viewer has for nothing is among them, as it is claimed and covered.

    Raises:
        InvalidValueError: If a price cannot be counted exactly.

    Source: docs/metering.md, "Money": the price of a tick is the version in force at that tick.
    """
    priced: list[PricedRun] = []
    version = in_force(prices, run.first)
    first = run.first
    for later in sorted(
        (v for v in prices if run.first < v.from_tick < run.end),
        key=lambda v: (v.from_tick, v.number),
    ):
        _append(priced, version, first, later.from_tick, quantum)
        version, first = later, later.from_tick
    _append(priced, version, first, run.end, quantum)
    return tuple(priced)


def _append(
    priced: list[PricedRun], version: PriceVersion | None, first: int, end: int, quantum: int
) -> None:
    if version is None or end == first:
        return
    if version.number == FREE_LIST:
        priced.append(PricedRun(Run(first, end - first), FREE_LIST, Units(0)))
        return
    if version.planck_per_tick == 0:
        return
    units = to_units(version.planck_per_tick, quantum)
    if not 0 < units <= UNITS_PER_TICK_MAX:
        raise InvalidValueError(
            f"{units} units per tick is not in 1..{UNITS_PER_TICK_MAX}: change the price or "
            "price.quantum_planck"
        )
    priced.append(PricedRun(Run(first, end - first), version.number, units))
