"""Planned intervals and the seconds they claim."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.hls import slots
from mediaserver.media import Slot
from metering.units import Run


def test_plan_is_the_part_target_long():
    """A part is planned at the full part target, wherever it begins."""
    slot = slots.plan(7, 2, 10_250, 500, 99_000)

    assert slot == Slot(7, 2, 10_250, 10_750)


def test_plan_stops_at_the_limit_of_its_segment():
    """No plan reaches past where its segment must have ended."""
    assert slots.plan(7, 6, 10_250, 500, 10_400).planned_end_ms == 10_400


def test_plan_refuses_an_empty_slot():
    """A slot at the limit would be a part of no media."""
    with pytest.raises(ValueError, match="past 10250"):
        slots.plan(7, 6, 10_250, 500, 10_250)


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "run"),
    [
        (1000, 1500, Run(1, 1)),
        (1500, 2000, Run(1, 1)),
        (1999, 2000, Run(1, 1)),
        (1999, 2001, Run(1, 2)),
        (2000, 2001, Run(2, 1)),
        (1800, 4100, Run(1, 4)),
    ],
)
def test_ticks_are_every_second_the_plan_touches(start_ms, end_ms, run):
    """Ticks run from floor(t0/1000) to ceil(t1/1000) - 1."""
    assert slots.slot_run(Slot(0, 0, start_ms, end_ms)) == run


@given(
    st.integers(0, 10**12),
    st.lists(st.tuples(st.integers(1, 600), st.integers(0, 600)), min_size=1, max_size=12),
)
def test_segment_claims_the_union_of_its_parts(start_ms, lengths):
    """Fetching a segment and fetching all its parts claim the same seconds."""
    planned, at_ms = [], start_ms
    for part, (played_ms, cut_off_ms) in enumerate(lengths):
        planned.append(Slot(3, part, at_ms, at_ms + played_ms + cut_off_ms))
        at_ms += played_ms

    run = slots.segment_run(planned)

    union = {t for s in planned for t in range(s.first_tick, s.first_tick + s.tick_count)}
    assert set(range(run.first, run.end)) == union


def test_r1_media_holds_the_seconds_that_it_touches_and_no_other():
    """What the plan promised beyond its end is not held."""
    assert slots.held_run(12_900, 12_960) == Run(12, 1)
    assert slots.held_run(12_900, 13_000) == Run(12, 1)
    assert slots.held_run(12_900, 13_001) == Run(12, 2)
    with pytest.raises(ValueError, match="holds no second"):
        slots.held_run(12_900, 12_900)


def test_tick_after_is_the_first_untouched_second():
    """A new timeline that begins there shares no second with the plan."""
    assert slots.tick_after(12_001) == 13_000
    assert slots.tick_after(12_000) == 12_000
