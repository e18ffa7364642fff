"""What is covered and what is owed, in a few lines: what the scripts are judged by."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from metering.model.passes import Pass
from metering.units import Run, Verdict
from tests.support.metering_kit import NOW

SHOWS = (NOW - 3000, NOW - 2985)
"""Each show's number is its first tick: the second one begins while the sequences run."""


@dataclass
class Reference:
    """What is covered and what is owed.

    Of each show the first seconds seen are free, and so is each that would pass its cap. Who is
    named pays a price of their own from a second on; nothing, if that is 0. What a pass of theirs
    covers is free too, and takes nothing from preview or cap.
    """

    preview: int
    caps: dict[int, int]
    balance: int
    prices: list[tuple[int, int]]
    own: tuple[int, int] | None = None
    listed: set[int] = field(default_factory=set)
    passes: list[Pass] = field(default_factory=list)
    passed: set[int] = field(default_factory=set)
    covered: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    capped: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    billed: dict[int, int] = field(default_factory=dict)

    def fetch(self, run: Run, show: int) -> Verdict:
        seen = (
            self.billed.keys() | self.listed | self.passed | self.covered[show] | self.capped[show]
        )
        new = {
            tick: [cost for first, cost in self.prices if first <= tick][-1]
            for tick in range(run.first, run.end)
            if tick not in seen
        }
        priced = {tick: cost for tick, cost in new.items() if cost}
        if self.own is not None:
            first, cost = self.own
            priced |= dict.fromkeys((tick for tick in priced if tick >= first), cost)
        listed = {tick for tick, cost in priced.items() if not cost}
        priced = {tick: cost for tick, cost in priced.items() if cost}
        passed = {tick for tick in priced if self.is_passed(tick, show)}
        priced = {tick: cost for tick, cost in priced.items() if tick not in passed}
        free = sorted(priced)[: self.preview - len(self.covered[show])]
        billed: dict[int, int] = {}
        for tick in sorted(priced.keys() - set(free)):
            if self.spent(show) + sum(billed.values()) + priced[tick] <= self.caps[show]:
                billed[tick] = priced[tick]
        if sum(billed.values()) > self.balance:
            return Verdict.PURSE
        self.balance -= sum(billed.values())
        self.listed |= listed
        self.passed |= passed
        self.covered[show].update(free)
        self.capped[show].update(priced.keys() - set(free) - billed.keys())
        self.billed |= billed
        return Verdict.GRANTED

    def is_passed(self, tick: int, show: int) -> bool:
        return any(
            item.from_tick <= tick < item.until_tick and item.show in {0, show}
            for item in self.passes
        )

    def spent(self, show: int) -> int:
        """Return what was billed in a show."""
        is_second = show == SHOWS[1]
        return sum(cost for tick, cost in self.billed.items() if (tick >= SHOWS[1]) == is_second)
