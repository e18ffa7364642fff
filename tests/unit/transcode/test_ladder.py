"""The ladder: never up, even sizes, aspect kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.transcode.ladder import Step, ladder, top_step
from mediaserver.transcode.settings import Rung

RUNGS = (Rung("360p", 360, 700), Rung("720p", 720, 2500), Rung("144p", 144, 200))


@pytest.mark.parametrize(
    ("width", "height", "sizes"),
    [
        (1920, 1080, [(1280, 720), (640, 360), (256, 144)]),
        (1280, 720, [(640, 360), (256, 144)]),
        (720, 1280, [(360, 640), (144, 256)]),
        (640, 360, [(256, 144)]),
        (854, 480, [(640, 360), (256, 144)]),
        (160, 120, []),
    ],
)
def test_a_source_gets_the_rungs_below_it(
    width: int, height: int, sizes: list[tuple[int, int]]
) -> None:
    """Nobody is sent a picture blown up, nor the source a second time."""
    assert [(s.width, s.height) for s in ladder(width, height, RUNGS)] == sizes


@given(st.integers(2, 8000), st.integers(2, 8000), st.integers(90, 4320))
def test_steps_are_even_smaller_and_of_the_same_shape(width: int, height: int, side: int) -> None:
    """Any source: even sizes, never above it, aspect kept to within a pixel or two."""
    for step in ladder(width, height, (Rung("x", side, 500),), kept=frozenset({"x"})):
        assert step.width % 2 == step.height % 2 == 0
        assert 2 <= step.width <= width
        assert 2 <= step.height <= height
        assert abs(step.width * height - step.height * width) <= 2 * max(width, height)


def test_a_rung_that_viewers_know_stays_when_the_source_shrinks() -> None:
    """A player on 360p is not thrown out because the browser publishes 270p for a while."""
    steps = ladder(480, 270, RUNGS, kept=frozenset({"360p"}))

    assert steps == (Step("360p", 480, 270, 700), Step("144p", 256, 144, 200))


def test_the_top_step_has_the_sources_size_made_even() -> None:
    """An odd source loses one row or column, not more."""
    assert top_step("source", 853, 479, 4000) == Step("source", 852, 478, 4000)


@pytest.mark.parametrize(
    ("width", "height", "aspect", "size"),
    [
        (1440, 1080, (4, 3), (640, 360)),
        (720, 576, (64, 45), (640, 360)),
        (720, 480, (8, 9), (480, 360)),
        (1080, 1440, (3, 4), (360, 640)),
        (1440, 1080, (200, 1), (480, 360)),
    ],
)
def test_f12_rungs_have_the_shape_that_the_source_is_shown_in(width, height, aspect, size) -> None:
    """Rungs have square pixels, so that every player shows the same shape."""
    (step,) = ladder(width, height, RUNGS[:1], sample_aspect=aspect)

    assert (step.width, step.height) == size
    assert step.sample_aspect == (1, 1)


def test_f12_the_top_step_keeps_the_sources_pixels() -> None:
    """It has the source's size, so its pixels have the source's shape."""
    assert top_step("source", 1440, 1080, 4000, (4, 3)).sample_aspect == (4, 3)
