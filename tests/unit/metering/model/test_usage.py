"""Ticks by the minute: pieces of runs, sums that cannot pass a minute, and the text of seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.errors import InvalidValueError
from metering.model import usage
from metering.units import Run


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 500)), max_size=8).map(
        lambda pairs: [Run(first, count) for first, count in pairs]
    )
)
def test_each_tick_is_in_the_minute_that_it_is_of(runs) -> None:
    """Whatever a run touches: no tick is lost, and none is in another minute."""
    ticks = [
        minute * 60 + second
        for minute, first, count in usage.by_minute(runs)
        for second in range(first, first + count)
    ]

    assert ticks == [tick for run in runs for tick in range(run.first, run.end)]


@given(st.lists(st.integers(0, 10**9), min_size=60, max_size=60))
def test_the_seconds_of_a_minute_are_read_as_they_were_written(seconds) -> None:
    assert usage.seconds_of(usage.seconds_text(seconds)) == seconds


def test_a_tick_that_is_counted_twice_is_refused() -> None:
    """A viewer has 60 seconds in a minute: more is a bug, and is not booked as usage."""
    full = bytes([60] * 60)

    with pytest.raises(InvalidValueError, match="61 ticks"):
        usage.added(full, [0] * 59 + [1])
