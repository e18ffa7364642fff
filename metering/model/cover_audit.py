"""Whether what is covered is billed to nobody, and no show costs more than its cap. Pure.

Source: docs/metering.md, "Covered seconds".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

from metering.model import show_caps, ticks
from metering.model.audit_records import Difference, Records
from metering.model.passes import Pass, not_covered
from metering.units import AccountId, Cause, Planck, Run, ShowCap, account_text

Viewer = tuple[UUID, AccountId]


class CoveredShow(Protocol):
    """Seconds of a show that were covered (`metering.book.records.CoveredTicks`)."""

    @property
    def account(self) -> AccountId:
        """Whose."""

    @property
    def stream(self) -> UUID:
        """Of which stream."""

    @property
    def show(self) -> int:
        """Of which show."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """Which."""

    @property
    def cause(self) -> Cause:
        """Why."""


def covered_of(covered: Iterable[tuple[Viewer, tuple[Run, ...]]]) -> dict[Viewer, ticks.Runs]:
    """Return what is covered of each stream for each account, in one list of runs."""
    runs_of: dict[Viewer, list[Run]] = defaultdict(list)
    for viewer, runs in covered:
        runs_of[viewer].extend(runs)
    return {viewer: ticks.normal(runs) for viewer, runs in runs_of.items()}


def causes_of(
    covered: Iterable[tuple[Viewer, Cause, tuple[Run, ...]]],
) -> dict[Viewer, dict[Cause, int]]:
    """Return how many ticks are covered of each stream for each account, by why."""
    counts: dict[Viewer, dict[Cause, int]] = defaultdict(dict)
    for viewer, cause, runs in covered:
        counts[viewer][cause] = counts[viewer].get(cause, 0) + ticks.count(runs)
    return dict(counts)


def over_cap(
    records: Records,
    shows: Mapping[UUID, Sequence[int]],
    caps: Mapping[UUID, Sequence[ShowCap]],
    prices: Mapping[tuple[UUID, int], Planck],
) -> tuple[Difference, ...]:
    """Name each account that was billed more for a show than its cap.

    Args:
        shows: Of each stream, the shows of which is counted what they cost, ascending.
        caps: Of each stream.
        prices: By stream and version.
    """
    billed: dict[Viewer, list[tuple[ticks.Runs, Planck]]] = defaultdict(list)
    for key, runs in [*records.booked, *((line.key, line.runs) for line in records.pending)]:
        if key.stream in shows:
            billed[key.stream, key.account].append((runs, prices[key.stream, key.version]))
    differences = []
    for (stream, account), lines in billed.items():
        for show, cost in show_caps.cost_by_show(lines, shows[stream]).items():
            cap = show_caps.cap_of(caps.get(stream, ()), show)
            if cap is not None and cap.planck and cost > cap.planck:
                subject = f"stream {stream} account {account_text(account)}"
                what = f"planck of show {show}, at most"
                differences.append(Difference(subject, what, cap.planck, cost))
    return tuple(differences)


def outside_passes(
    covered: Iterable[CoveredShow], passes: Iterable[Pass]
) -> tuple[Difference, ...]:
    """Name each viewer of a show with seconds that are said to be covered by a pass, and by none.

    Args:
        passes: All that were ever paid, refunded ones too.
    """
    held: dict[Viewer, list[Pass]] = defaultdict(list)
    for item in passes:
        held[item.stream, item.account].append(item)
    differences = []
    for line in covered:
        if line.cause is Cause.PASS:
            of_viewer = held.get((line.stream, line.account), ())
            free = not_covered(line.runs, line.show, of_viewer)
            if free:
                subject = f"stream {line.stream} account {account_text(line.account)}"
                what = f"second {free[0].first} and what follows has no pass"
                differences.append(Difference(subject, what, 0, ticks.count(free)))
    return tuple(differences)


def billed_too(records: Records, covered: dict[Viewer, ticks.Runs]) -> tuple[Difference, ...]:
    """Name each viewer of a stream with seconds that are covered and billed."""
    billed: dict[Viewer, list[Run]] = defaultdict(list)
    for key, runs in [*records.booked, *((line.key, line.runs) for line in records.pending)]:
        if (key.stream, key.account) in covered:
            billed[key.stream, key.account].extend(runs)
    differences = []
    for viewer, watched in billed.items():
        both = ticks.intersection(covered[viewer], ticks.normal(watched))
        if both:
            stream, account = viewer
            subject = f"stream {stream} account {account_text(account)}"
            what = f"second {both[0].first} and what follows is covered and billed"
            differences.append(Difference(subject, what, 0, ticks.count(both)))
    return tuple(differences)
