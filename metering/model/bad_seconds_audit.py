"""Whether bad seconds are given back, all of them, once, and nothing else. Pure.

Source: docs/metering.md, "Bad seconds".
"""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

from metering.model import ticks
from metering.model.audit_records import Difference, EntryCounts, Records, subject_of
from metering.units import AccountId, EntryKey, Planck, Run

_NOTHING = EntryCounts(0, 0, 0, Planck(0))


def wrongly_given_back(records: Records) -> tuple[Difference, ...]:
    """Name each entry of which other ticks were given back than the rules say.

    What is booked within a rule's range is given back, but for what has not settled yet.
    """
    ranges: dict[UUID, list[Run]] = defaultdict(list)
    for stream, run in records.bad_seconds:
        ranges[stream].append(run)
    back: dict[EntryKey, list[Run]] = defaultdict(list)
    seen: dict[tuple[UUID, AccountId], ticks.Runs] = {}
    differences = []
    for key, runs in records.given_back:
        had = seen.get((key.stream, key.account), ())
        if twice := ticks.intersection(had, runs):
            differences.append(
                Difference(
                    subject_of(key),
                    f"second {twice[0].first} and what follows is given back again",
                    0,
                    ticks.count(twice),
                )
            )
        seen[key.stream, key.account] = ticks.union(had, runs)
        back[key].extend(runs)
    due: dict[EntryKey, list[Run]] = defaultdict(list)
    for key, runs in records.booked:
        if key.stream in ranges:
            due[key].extend(ticks.intersection(runs, ranges[key.stream]))
    for key in due.keys() | back.keys():
        want, have = ticks.normal(due.get(key, ())), ticks.normal(back.get(key, ()))
        if alien := ticks.difference(have, want):
            differences.append(
                Difference(
                    subject_of(key),
                    f"second {alien[0].first} and what follows is given back without a rule",
                    0,
                    ticks.count(alien),
                )
            )
        counts = records.entries.get(key, _NOTHING)
        missing = ticks.count(ticks.difference(want, have))
        if missing > counts.booked - counts.settled:
            differences.append(
                Difference(
                    subject_of(key),
                    "settled ticks of bad seconds that are not given back",
                    0,
                    missing,
                )
            )
    return tuple(differences)
