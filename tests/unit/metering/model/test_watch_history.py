"""What somebody watched, show by show."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from metering.model import ticks
from metering.model.watch_history import WatchedTicks, by_show
from metering.units import Planck, Run

CAM, TALKS = UUID(int=1), UUID(int=2)


def test_each_second_is_in_the_show_that_was_on() -> None:
    """A run over the end of a show is split; what was before the first known show is one row."""
    watched = [
        WatchedTicks(CAM, (Run(90, 5), Run(100, 10), Run(195, 10)), Planck(3)),
        WatchedTicks(CAM, (Run(110, 4),), Planck(0), is_covered=True),
        WatchedTicks(CAM, (Run(114, 1),), Planck(0)),
    ]

    rows = by_show(watched, {CAM: [100, 200]})

    assert [(row.show, row.first_tick, row.end_tick) for row in rows] == [
        (200, 200, 205),
        (100, 100, 200),
        (None, 90, 95),
    ]
    assert [(row.seconds, row.covered_seconds, row.planck) for row in rows] == [
        (5, 0, 15),
        (20, 4, 45),
        (5, 0, 15),
    ]


def test_shows_of_one_second_are_in_one_order() -> None:
    """So that a page goes on where the one before ended."""
    watched = [WatchedTicks(stream, (Run(100, 1),), Planck(1)) for stream in (TALKS, CAM)]
    rows = by_show(watched, {CAM: [100], TALKS: [100]})
    assert [row.stream for row in rows] == [CAM, TALKS]
    assert rows == by_show(reversed(watched), {CAM: [100], TALKS: [100]})


_NUMBERS = st.lists(st.integers(1, 60), unique=True, max_size=6).map(sorted)
_TICKS = st.dictionaries(
    st.tuples(st.sampled_from((CAM, TALKS)), st.integers(0, 70)),
    st.sampled_from((0, 1, 10**20)),
)


@given(_TICKS, _NUMBERS, _NUMBERS)
def test_the_rows_are_what_counting_tick_by_tick_says(bought, cam, talks) -> None:
    shows = {CAM: cam, TALKS: talks}
    watched = [
        WatchedTicks(
            stream,
            ticks.normal(
                Run(t, 1) for (of, t), paid in bought.items() if (of, paid) == (stream, p)
            ),
            Planck(p),
            is_covered=p == 0,
        )
        for stream in shows
        for p in (0, 1, 10**20)
    ]

    rows = by_show(watched, shows)

    assert sum(row.planck for row in rows) == sum(bought.values())
    for row in rows:
        own = {
            tick: paid
            for (stream, tick), paid in bought.items()
            if stream == row.stream
            and max((n for n in shows[stream] if n <= tick), default=None) == row.show
        }
        assert (row.first_tick, row.end_tick - 1) == (min(own), max(own))
        assert (row.seconds, row.planck) == (len(own), sum(own.values()))
        assert row.covered_seconds == list(own.values()).count(0)
    assert sum(row.seconds for row in rows) == len(bought)
