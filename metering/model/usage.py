"""Ticks by the minute: how they are counted, and how a minute's seconds are written. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from uuid import UUID

from metering.errors import InvalidValueError
from metering.units import HOUR_TICKS, AccountId, Planck, Run

MINUTE_TICKS: Final = 60
HOUR_MINUTES: Final = HOUR_TICKS // MINUTE_TICKS


@dataclass(frozen=True, slots=True)
class StreamMinute:
    """What all viewers watched of a stream in a minute.

    Attributes:
        minute: Of Unix time: tick // 60.
        viewers: How many accounts watched any second of it.
        peak: The most that watched the same second.
        ticks: Viewer-seconds.
        planck: What they cost all viewers together.
        seconds: How many accounts watched each of its 60 seconds.
    """

    stream: UUID
    minute: int
    viewers: int
    peak: int
    ticks: int
    planck: Planck
    seconds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ViewerHour:
    """What a viewer watched of a stream in an hour, at one price version.

    Attributes:
        hour: Of Unix time: tick // 3600.
        minutes: Ticks in each of its 60 minutes.
        revision: Of the roll that changed it last.
    """

    stream: UUID
    hour: int
    account: AccountId
    version: int
    minutes: bytes
    revision: int


def by_minute(runs: Iterable[Run]) -> Iterator[tuple[int, int, int]]:
    """Yield (minute, first second in it, seconds) for each minute that a run touches."""
    for run in runs:
        tick = run.first
        while tick < run.end:
            minute, first = divmod(tick, MINUTE_TICKS)
            count = min(run.end - tick, MINUTE_TICKS - first)
            yield minute, first, count
            tick += count


def added(minutes: bytes, more: Sequence[int]) -> bytes:
    """Return the ticks of an hour's minutes with `more` added to each.

    Raises:
        InvalidValueError: A minute has more than 60 ticks then: some were counted twice.
    """
    sums = [known + new for known, new in zip(minutes, more, strict=True)]
    if max(sums) > MINUTE_TICKS:
        raise InvalidValueError(
            f"a viewer has {max(sums)} ticks of a stream in a minute: some are there twice"
        )
    return bytes(sums)


def seconds_text(seconds: Iterable[int]) -> str:
    """Return lengths of equal counts, such as ``0x12,5x48``."""
    return ",".join(f"{count}x{len(list(same))}" for count, same in groupby(seconds))


def seconds_of(text: str) -> list[int]:
    """Return the counts that `seconds_text` wrote."""
    counts: list[int] = []
    for piece in text.split(","):
        count, _, length = piece.partition("x")
        counts += [int(count)] * int(length)
    return counts
