"""Runs of ticks as text: how the book and receipt files write them. Sums: ticks.py."""

from __future__ import annotations

from collections.abc import Iterable

from metering.errors import InvalidValueError
from metering.units import Run


def to_text(runs: Iterable[Run]) -> str:
    """Return ``first+count`` of each run, joined by commas: what the book keeps."""
    return ",".join(f"{run.first}+{run.count}" for run in runs)


def from_text(text: str) -> tuple[Run, ...]:
    """Return the runs that `to_text` wrote.

    Raises:
        InvalidValueError: If it is no such text, or not in normal form.
    """
    try:
        runs = tuple(
            Run(int(first), int(count_))
            for first, _, count_ in (piece.partition("+") for piece in text.split(",") if piece)
        )
    except ValueError as error:
        raise InvalidValueError(f"{text!r} is not a list of runs such as 1700000000+10") from error
    require_normal(runs)
    return runs


def require_normal(runs: tuple[Run, ...]) -> None:
    """Raise unless `runs` are positive, sorted, disjoint and not touching.

    Raises:
        InvalidValueError: Names the first run that is not.
    """
    end = -1
    for run in runs:
        if run.count < 1 or run.first < 0 or run.first <= end:
            raise InvalidValueError(
                f"run {run.first}+{run.count} is empty, out of order or touches the one before it"
            )
        end = run.end
