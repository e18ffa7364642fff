"""The most that a show costs: which cap holds for it, and what an account has spent in it. Pure.

A show is named after its first second, and the shows of a stream follow each other; so a second is
of the newest show that began by then.

Source: docs/metering.md, "Covered seconds".
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from metering.model import ticks
from metering.model.price import UNITS_MAX, to_units
from metering.units import Planck, ShowCap, Units


def cap_of(caps: Iterable[ShowCap], show: int) -> ShowCap | None:
    """Return the cap that holds for a show, None when it began before the stream's first one."""
    held = [cap for cap in caps if cap.from_show <= show]
    return max(held, key=lambda cap: cap.from_show, default=None)


def cap_units(caps: Iterable[ShowCap], show: int, quantum: int) -> Units | None:
    """Return what a show costs at most; None when what it costs is not counted.

    A show of a stream that had a cap and has none any more is counted, with a cap that nobody
    reaches: else its seconds would be taken for those of the show before it.

    Raises:
        InvalidValueError: If it is not a whole number of units.
    """
    cap = cap_of(caps, show)
    if cap is None:
        return None
    return to_units(cap.planck, quantum) if cap.planck else Units(UNITS_MAX)


def cost_by_show(
    billed: Iterable[tuple[ticks.Runs, Planck]], shows: Sequence[int]
) -> dict[int, Planck]:
    """Return what billed ticks cost in each show; shows in which nothing was billed are left out.

    Args:
        billed: Ticks with their price, no tick twice.
        shows: Every show of the stream from one on, ascending. Ticks before it are passed over.
    """
    costs: dict[int, Planck] = {}
    for runs, price in billed:
        for run in runs:
            first, at = run.first, bisect_right(shows, run.first)
            while first < run.end:
                stop = min(run.end, shows[at]) if at < len(shows) else run.end
                if at:
                    show = shows[at - 1]
                    costs[show] = Planck(costs.get(show, 0) + (stop - first) * price)
                first, at = stop, at + 1
    return costs
