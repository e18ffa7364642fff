"""Who watches: right at every second, and the book's seconds exactly, through kill -9."""

import pytest

from tests.simulate.audience import simulate

pytestmark = pytest.mark.timeout(150)


def test_the_audience_is_right_now_and_by_the_minute_through_kill_9(tmp_path):
    """Ten viewers, two of them with two tabs, half through an edge, some plain players.

    `python -m tests.simulate.audience` is the same with 500.
    """
    faults = ("processes.http", "processes.control")

    report = simulate(tmp_path, 10, 22, faults, has_edge=True)

    assert report.samples >= 5
    assert report.wrong == []
    assert report.differences == []
    assert report.books == 0
    assert report.ticks > 10 * 5
