"""A failure that goes on is logged, not repeated."""

from metering.log_throttle import AGAIN_S, LogThrottle


def test_a_failure_is_logged_at_once_then_once_a_minute_with_its_count() -> None:
    """A night without Redis is a few hundred lines, not a hundred thousand."""
    now = [0.0]
    throttle = LogThrottle(lambda: now[0])

    logged = []
    for _ in range(int(3 * AGAIN_S * 2)):
        logged.append(throttle.failed("away"))
        now[0] += 0.5

    assert [count for count in logged if count] == [1, 120, 120]


def test_another_failure_and_one_that_comes_back_are_logged_at_once() -> None:
    """What is new is never held back."""
    throttle = LogThrottle(lambda: 0.0)

    assert [throttle.failed("away"), throttle.failed("away"), throttle.failed("full")] == [1, 0, 2]
    throttle.succeeded()
    assert throttle.failed("full") == 1
