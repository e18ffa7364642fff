"""Bad seconds: which ticks a standing rule gives back, each once. Pure.

A rule names a range of a stream's ticks. Whatever was billed of it is given back once it has
settled: what had settled when the rule was made at once, the rest with the batch that settles it.
A tick that an earlier rule gave back is passed over.

Source: docs/metering.md, "Bad seconds".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from metering.model import ticks
from metering.units import AccountId, EntryKey, Planck, Run

_NOTHING: Final = Planck(0)

RANGE_MAX_S: Final = 86_400
"""Ticks of one rule: what it gives back is one transaction. A longer fault takes more rules."""

RULES_MAX: Final = 1000
"""Rules of one stream: each batch that settles ticks of the stream is held against all of them."""


@dataclass(frozen=True, slots=True)
class BadSeconds:
    """A standing rule: this range is given back.

    Attributes:
        number: In the order in which they were made.
        key: Chosen by who made it: unique for the stream.
        show: The show that the range is of; None: of one before the first that is known.
        run: The ticks.
        why: For people.
        made_by: As the audit log has it.
        seconds: Given back so far, of all viewers together.
        planck: The same.
    """

    number: int
    key: str
    stream: UUID
    show: int | None
    run: Run
    why: str
    made_by: str
    created_ms: int
    seconds: int = 0
    planck: Planck = _NOTHING


@dataclass(frozen=True, slots=True)
class BackLine:
    """Ticks of one entry that one rule gives back."""

    rule: int
    key: EntryKey
    runs: ticks.Runs


def back_lines(
    rules: Sequence[tuple[int, Run]],
    settled: Mapping[EntryKey, ticks.Runs],
    given: Mapping[AccountId, ticks.Runs],
) -> list[BackLine]:
    """Return what rules of one stream give back of settled ticks, and did not before.

    Args:
        rules: Number and range, the earlier first: a tick of several is the first one's.
        settled: Billed and final, by entry; of one account no tick twice.
        given: What each account was given back of the stream already.
    """
    lines = []
    had = dict(given)
    for key, runs in settled.items():
        known = had.get(key.account, ())
        left = ticks.difference(runs, known)
        for number, run in rules:
            if not left:
                break
            if run.end <= left[0].first or left[-1].end <= run.first:
                continue
            if fresh := ticks.intersection(left, (run,)):
                left = ticks.difference(left, fresh)
                known = ticks.union(known, fresh)
                lines.append(BackLine(number, key, fresh))
        had[key.account] = known
    return lines
