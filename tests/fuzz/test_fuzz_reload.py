"""Any query is answered: ready, wait or reject, never an error."""

from hypothesis import given
from hypothesis import strategies as st

from mediaserver.hls.blocking_reload import Ready, Reject, Wait, decide
from mediaserver.hls.window_entries import Edge

KEYS = st.sampled_from(["_HLS_msn", "_HLS_part", "_HLS_skip", "_HLS_x", "x", "_HLS_", ""])
VALUES = st.integers(-2, 30).map(str) | st.sampled_from(["YES", "v2", "", "=", "%30"]) | st.text()
QUERIES = st.text() | st.lists(st.tuples(KEYS, VALUES).map("=".join)).map("&".join)
EDGES = st.builds(Edge, st.integers(0, 20), st.integers(1, 9), st.booleans(), st.booleans())


@given(QUERIES, EDGES, st.integers(100, 4000))
def test_any_query_is_answered(query: str, edge: Edge, part_target_ms: int) -> None:
    """A hostile query takes nothing down, and nobody waits for what cannot come soon."""
    decision = decide(query, edge, part_target_ms)

    assert isinstance(decision, Ready | Wait | Reject)
    if edge.is_show_ended:
        assert decision == Ready(is_shared="_HLS_" not in query)


@given(st.integers(0, 20), st.none() | st.integers(0, 40), st.integers(1, 9), st.booleans())
def test_who_waits_is_answered_when_the_list_grows(
    msn: int, part: int | None, count: int, is_ended: bool
) -> None:
    """Every wait ends once the stream is far enough on."""
    query = f"_HLS_msn={msn}" + ("" if part is None else f"&_HLS_part={part}")
    edge = Edge(10, count, is_ended, is_show_ended=False)

    if decide(query, edge, 500) == Wait():
        later = Edge(msn + 2, 1, is_segment_ended=False, is_show_ended=False)
        assert isinstance(decide(query, later, 500), Ready)
