"""Runs and sets of ticks: values in, values out.

A set of ticks is a tuple of `Run`, sorted, disjoint and not touching ("normal"). Bitmaps have the
bit order of Redis: bit 0 is the highest bit of byte 0. Where they are: metering/store/keys.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from metering.units import HOUR_TICKS, Run

Runs = tuple[Run, ...]
"""A set of ticks in normal form."""


def normal(runs: Iterable[Run]) -> Runs:
    """Return the same ticks, each once: sorted, disjoint, not touching."""
    merged: list[Run] = []
    for run in sorted(runs):
        if run.count < 1:
            raise ValueError(f"a run of {run.count} ticks from {run.first} is no run")
        if merged and run.first <= merged[-1].end:
            last = merged[-1]
            merged[-1] = Run(last.first, max(last.end, run.end) - last.first)
        else:
            merged.append(run)
    return tuple(merged)


def union(runs: Iterable[Run], other: Iterable[Run]) -> Runs:
    """Return the ticks that are in either."""
    return normal([*runs, *other])


def difference(runs: Iterable[Run], other: Iterable[Run]) -> Runs:
    """Return the ticks of `runs` that are not in `other`."""
    holes = normal(other)
    left: list[Run] = []
    start = 0
    for run in normal(runs):
        first = run.first
        while start < len(holes) and holes[start].end <= first:
            start += 1
        at = start
        while at < len(holes) and holes[at].first < run.end:
            if holes[at].first > first:
                left.append(Run(first, holes[at].first - first))
            first = max(first, holes[at].end)
            at += 1
        if first < run.end:
            left.append(Run(first, run.end - first))
    return tuple(left)


def intersection(runs: Iterable[Run], other: Iterable[Run]) -> Runs:
    """Return the ticks that are in both."""
    mine = normal(runs)
    return difference(mine, difference(mine, other))


def count(runs: Iterable[Run]) -> int:
    """Return how many ticks a set in normal form holds."""
    return sum(run.count for run in runs)


def by_hour(run: Run) -> Iterator[tuple[int, int, int]]:
    """Yield (hour, first bit, bits) for each hour that the run touches: hour = tick // 3600."""
    tick = run.first
    while tick < run.end:
        hour, bit = divmod(tick, HOUR_TICKS)
        bits = min(run.end - tick, HOUR_TICKS - bit)
        yield hour, bit, bits
        tick += bits


def bitmaps(runs: Iterable[Run]) -> dict[int, bytes]:
    """Return one bitmap for each hour that has a tick, without trailing zero bytes."""
    words: dict[int, int] = {}
    for run in runs:
        for hour, bit, bits in by_hour(run):
            mask = ((1 << bits) - 1) << (HOUR_TICKS - bit - bits)
            words[hour] = words.get(hour, 0) | mask
    size = HOUR_TICKS // 8
    return {hour: word.to_bytes(size, "big").rstrip(b"\0") for hour, word in sorted(words.items())}


def from_bitmap(bitmap: bytes, first_tick: int) -> Runs:
    """Return the ticks of a bitmap whose bit 0 is `first_tick`."""
    size = len(bitmap) * 8
    word = int.from_bytes(bitmap, "big")
    runs: list[Run] = []
    while word:
        bit = size - word.bit_length()
        # Shift the run to the top and fill: what is left is zeros from its end on.
        inverted = ~word & ((1 << (size - bit)) - 1)
        end = size - inverted.bit_length()
        runs.append(Run(first_tick + bit, end - bit))
        word &= (1 << (size - end)) - 1
    return tuple(runs)
