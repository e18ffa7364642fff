"""Hypothesis strategies for media."""

from __future__ import annotations

from hypothesis import strategies as st

FRAME_RATES = (23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0)


Frame = tuple[int, bool, bool]
"""start_ms, is_idr, is_discontinuity."""


@st.composite
def frames(draw: st.DrawFn, count_max: int = 400) -> list[Frame]:
    """Draw frames of a publisher: (start_ms, is_idr, is_discontinuity), sometimes badly behaved.

    Steady rates with a GOP, jitter, holes, unscheduled IDRs and breaks of the timeline.
    """
    frame_ms = draw(st.sampled_from([1000 / rate for rate in FRAME_RATES] + [21.333, 100, 400.0]))
    gop = draw(st.integers(1, 120))
    jitter_ms = draw(st.sampled_from([0, 0, 3, 20]))
    odd = draw(st.dictionaries(st.integers(1, count_max), st.sampled_from("ihhdD"), max_size=8))
    start = draw(st.integers(10_000, 10**9))
    shakes = draw(st.lists(st.integers(0, max(1, jitter_ms)), min_size=7, max_size=7))
    taken: list[Frame] = []
    at, last = float(start), start - 1
    for number in range(draw(st.integers(1, count_max))):
        what = odd.get(number, "")
        if what in {"h", "d"}:
            at += draw(st.integers(1, 9000))
        start_ms = max(last + 1, round(at) + (shakes[number % 7] if jitter_ms else 0))
        is_idr = number % gop == 0 or what in {"i", "d"}
        taken.append((start_ms, is_idr, what in {"d", "D"}))
        last = start_ms
        at += frame_ms
    return taken
