"""A trouble that goes on is told, not repeated."""

from metering.log_throttle import AGAIN_S, Trouble


def test_a_trouble_is_told_at_once_then_once_a_minute_with_its_count() -> None:
    """A night without Redis is a few hundred lines, not a hundred thousand."""
    now = [0.0]
    trouble = Trouble(lambda: now[0])

    told = []
    for _ in range(int(3 * AGAIN_S * 2)):
        told.append(trouble.met("away"))
        now[0] += 0.5

    assert [count for count in told if count] == [1, 120, 120]


def test_another_trouble_and_one_that_comes_back_are_told_at_once() -> None:
    """What is new is never held back."""
    trouble = Trouble(lambda: 0.0)

    assert [trouble.met("away"), trouble.met("away"), trouble.met("full")] == [1, 0, 2]
    trouble.over()
    assert trouble.met("full") == 1
