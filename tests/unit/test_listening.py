"""Time-outs count the time that we listened, not the time that we stood still."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from mediaserver import listening
from mediaserver.listening import STALL_S, ListeningClock
from tests.support.clock import FakeClock


@contextlib.asynccontextmanager
async def listened(clock: FakeClock) -> AsyncIterator[ListeningClock]:
    """A clock that beats."""
    made = ListeningClock(clock)
    task = asyncio.create_task(made.listen())
    await asyncio.sleep(0)
    yield made
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_r4_seconds_stand_still_with_the_process() -> None:
    """Five seconds without a beat were a stall: hardly any of them was listened to."""
    clock = FakeClock()
    async with listened(clock) as listener:
        before_s = listener.monotonic()
        clock.move(5.0)
        stalled_s = listener.monotonic() - before_s
        for _ in range(50):
            clock.move(0.1)
            listener.monotonic()

        assert stalled_s == pytest.approx(STALL_S)
        assert listener.monotonic() - before_s == pytest.approx(STALL_S + 5.0)
        assert listener.now_ms() == clock.now_ms()


async def test_r4_without_a_beat_all_seconds_count() -> None:
    """A spare worker has no beat, and its time-outs must end."""
    clock = FakeClock()
    listener = ListeningClock(clock)
    before_s = listener.monotonic()
    clock.move(5.0)

    assert listener.monotonic() - before_s == pytest.approx(5.0)


async def test_r4_a_time_out_is_over_when_it_was_listened_to() -> None:
    """The loop's own time has long passed when the clock says that it has not."""
    clock = FakeClock(leap_s=0.004)
    reached = clock.seconds

    with pytest.raises(TimeoutError):
        async with listening.timeout(clock, 0.02):
            await asyncio.Event().wait()

    assert clock.seconds - reached >= 0.02
    async with listening.timeout(FakeClock(), 0.0001):
        await asyncio.sleep(0)
