"""What somebody watched, show by show. Pure.

A tick belongs to the newest show of its stream that began by then: a show's number is the Unix
second of its first tick, or one more than the last show's (docs/metering.md, 1).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from metering.units import Planck, Run

_NOTHING: Final = Planck(0)


@dataclass(frozen=True, slots=True)
class WatchedTicks:
    """Ticks that an account watched of a stream, at one price.

    Attributes:
        planck_per_tick: What each cost; 0 for what was billed to nobody.
        is_covered: A preview, or the cap of a show, paid for them.
        is_back: They were bad, and are given back; watched ticks name them too.
    """

    stream: UUID
    runs: tuple[Run, ...]
    planck_per_tick: Planck
    is_covered: bool = False
    is_back: bool = False


@dataclass(frozen=True, slots=True)
class WatchedShow:
    """What an account watched of one show.

    Attributes:
        show: Its number; None: it was before the first show that is known of the stream.
        first_tick: The first one watched.
        end_tick: One past the last one watched.
        seconds: Watched in all.
        covered_seconds: Those of them that a preview, or the cap of a show, paid for.
        planck: What the others cost.
        given_back: Planck of that that was given back, for bad seconds.
    """

    stream: UUID
    show: int | None
    first_tick: int
    end_tick: int
    seconds: int
    covered_seconds: int
    planck: Planck
    given_back: Planck = _NOTHING


def by_show(
    watched: Iterable[WatchedTicks], shows: Mapping[UUID, Sequence[int]]
) -> list[WatchedShow]:
    """Return what was watched, a row for each show, the newest first.

    Args:
        watched: No tick of a stream twice, but for those that are given back.
        shows: Numbers of each stream's shows, ascending.
    """
    rows: dict[tuple[UUID, int | None], WatchedShow] = {}
    for part in watched:
        for run in part.runs:
            for show, piece in _by_show(run, shows.get(part.stream, ())):
                key = part.stream, show
                row = rows.get(key)
                if row is None:
                    row = WatchedShow(*key, piece.first, piece.end, 0, 0, _NOTHING)
                cost = piece.count * part.planck_per_tick
                seen = 0 if part.is_back else piece.count
                rows[key] = replace(
                    row,
                    first_tick=min(row.first_tick, piece.first),
                    end_tick=max(row.end_tick, piece.end),
                    seconds=row.seconds + seen,
                    covered_seconds=row.covered_seconds + seen * part.is_covered,
                    planck=Planck(row.planck + seen * part.planck_per_tick),
                    given_back=Planck(row.given_back + part.is_back * cost),
                )
    return sorted(rows.values(), key=_newest_first)


def _newest_first(row: WatchedShow) -> tuple[int, bytes]:
    return -row.first_tick, row.stream.bytes


def _by_show(run: Run, shows: Sequence[int]) -> Iterator[tuple[int | None, Run]]:
    """Yield the pieces of a run that belong to different shows."""
    first = run.first
    while first < run.end:
        at = bisect_right(shows, first)
        end = min(run.end, shows[at]) if at < len(shows) else run.end
        yield shows[at - 1] if at else None, Run(first, end - first)
        first = end
