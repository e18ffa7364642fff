"""Delivery directives, rule by rule (references: L9 to L15, L22)."""

import pytest

from mediaserver.hls.blocking_reload import Decision, Ready, Reject, Wait, decide
from mediaserver.hls.window_entries import Edge

OPEN = Edge(10, 2, is_segment_ended=False, is_show_ended=False)
CLOSED = Edge(10, 4, is_segment_ended=True, is_show_ended=False)
OVER = Edge(10, 4, is_segment_ended=True, is_show_ended=True)
NOW = Ready(is_blocking=True)


@pytest.mark.parametrize(
    ("query", "edge", "decision"),
    [
        ("", OPEN, Ready()),
        ("x=1&_HLS_report=3", OPEN, Ready()),
        ("_HLS_skip=YES", OPEN, Ready(is_delta=True)),
        ("_HLS_skip=v2", OPEN, Ready(is_delta=True)),
        # L9: wait until the list holds it
        ("_HLS_msn=10&_HLS_part=1", OPEN, NOW),
        ("_HLS_msn=10&_HLS_part=2", OPEN, Wait()),
        ("_HLS_msn=10", OPEN, Wait()),
        ("_HLS_msn=10", CLOSED, NOW),
        ("_HLS_msn=11", CLOSED, Wait()),
        ("_HLS_msn=11&_HLS_part=0&_HLS_skip=YES", CLOSED, Wait()),
        ("_HLS_msn=12", OPEN, Wait()),
        # L12: past the last part is part 0 of the next
        ("_HLS_msn=10&_HLS_part=4", CLOSED, Wait()),
        ("_HLS_msn=10&_HLS_part=3", CLOSED, NOW),
        # L13: gone is answered with what there is
        ("_HLS_msn=0", OPEN, Ready(is_blocking=True, is_shared=False)),
        ("_HLS_msn=9&_HLS_part=77", OPEN, NOW),
        ("_HLS_msn=9&_HLS_part=128", OPEN, Ready(is_blocking=True, is_shared=False)),
        ("_HLS_msn=9&_HLS_skip=YES", OPEN, Ready(is_delta=True, is_blocking=True)),
        # L15: after the end all is answered at once
        ("_HLS_msn=99", OVER, Ready(is_shared=False)),
        ("_HLS_part=1", OVER, Ready(is_shared=False)),
        ("_HLS_skip=no", OVER, Ready(is_shared=False)),
        ("x=1", OVER, Ready()),
    ],
)
def test_a_directive_is_answered_by_its_rule(query: str, edge: Edge, decision: Decision) -> None:
    """Players get the list that holds what they asked for, as soon as it does."""
    assert decide(query, edge, 500) == decision


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=1",
        "_HLS_msn=13",
        "_HLS_msn=10&_HLS_part=8",
        "_HLS_msn=11&_HLS_part=6",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=1e3",
        "_HLS_msn=\u0661\u0660",
        "_HLS_msn=1000000000000000",
        "_HLS_msn=10&_HLS_part=x",
        "_HLS_msn=10&_HLS_msn=11",
        "_HLS_msn=010",
        "_HLS_msn=10&_HLS_part=01",
        "_HLS_skip=no",
        "_HLS_skip=",
    ],
)
def test_an_impossible_directive_is_refused_at_once(query: str) -> None:
    """L10 and L11: a confused player hears it instead of hanging."""
    assert isinstance(decide(query, OPEN, 500), Reject)


def test_long_parts_may_be_asked_three_ahead() -> None:
    """L11: the advance limit is counted in parts when they are a second or longer."""
    assert decide("_HLS_msn=10&_HLS_part=4", OPEN, 1000) == Wait()
    assert isinstance(decide("_HLS_msn=10&_HLS_part=5", OPEN, 1000), Reject)
