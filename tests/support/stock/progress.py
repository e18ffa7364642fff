"""How far a player came, and when: what all stock players are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """What a player showed at one time.

    Attributes:
        at_s: Unix time.
        place: Grows while the player plays: seconds of media, or frames shown.
    """

    at_s: float
    place: float


def stood_s(samples: Sequence[Sample], from_s: float, to_s: float) -> float:
    """Return the longest time within `from_s` to `to_s` in which a player did not move, in s."""
    longest_s, moved_s, place = 0.0, from_s, None
    for sample in samples:
        if sample.at_s > to_s:
            break
        if sample.at_s >= from_s and sample.place != place:
            longest_s = max(longest_s, sample.at_s - moved_s)
            moved_s = sample.at_s
        place = sample.place
    return max(longest_s, to_s - moved_s)
