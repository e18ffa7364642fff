"""Whether what is covered is billed to nobody. Pure.

Source: docs/metering.md, "Covered seconds".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from metering.model import ticks
from metering.model.audit import Difference, Records
from metering.units import AccountId, Run, account_text

Viewer = tuple[UUID, AccountId]


def covered_of(covered: Iterable[tuple[Viewer, tuple[Run, ...]]]) -> dict[Viewer, ticks.Runs]:
    """Return what is covered of each stream for each account, in one list of runs."""
    runs_of: dict[Viewer, list[Run]] = defaultdict(list)
    for viewer, runs in covered:
        runs_of[viewer].extend(runs)
    return {viewer: ticks.normal(runs) for viewer, runs in runs_of.items()}


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
