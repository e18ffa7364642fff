"""Two encoders with one key."""

from __future__ import annotations

from mediaserver.ingest.takeovers import MANY, WITHIN_S, Takeovers


def test_two_encoders_that_take_the_stream_from_each_other_are_told() -> None:
    """Two copies of OBS did so for an hour, and nobody told their creator why."""
    seen = Takeovers()
    for turn in range(MANY):
        assert seen.advice(10.0 * turn) == ""
        seen.add(10.0 * turn, 10.0 * turn - 0.1)

    assert "stop one of them" in seen.advice(10.0 * MANY)
    assert seen.advice(WITHIN_S) == ""


def test_an_encoder_that_comes_back_is_no_second_one() -> None:
    """What was silent for a while had lost its connection."""
    seen = Takeovers()
    for turn in range(2 * MANY):
        seen.add(5.0 * turn, 5.0 * turn - 3.0)

    assert seen.advice(5.0 * 2 * MANY) == ""
