"""The server's clock: anchored at its start, slewed, never stepped, one for all its processes."""

import struct

import pytest

from mediaserver.clock import SLEW_PPM, Slew, SystemClock
from mediaserver.processes import server_clock
from mediaserver.processes.server_clock import SharedClock, keeping, open_clock

NOW_NS = 1_800_000_000 * 10**9
SECOND_NS = 10**9


@pytest.mark.parametrize("step_s", [-3600, -2, 1, 86_400])
def test_a_h1_a_step_of_the_machines_clock_is_slewed(step_s: int) -> None:
    """A machine's clock that is set makes no second come twice, and none fall out."""
    slew = Slew(0, NOW_NS)
    before_ns = NOW_NS
    for second in range(1, 1000):
        wall_ns = NOW_NS + (second + step_s) * SECOND_NS
        now_ns = second * SECOND_NS + slew.follow(second * SECOND_NS, wall_ns)
        took_ns = now_ns - before_ns
        assert abs(took_ns - SECOND_NS) <= SECOND_NS * SLEW_PPM // 10**6
        before_ns = now_ns

    assert abs(slew.offset_ns - NOW_NS) == pytest.approx(999 * 10**6, abs=10**6)
    assert (slew.offset_ns > NOW_NS) == (step_s > 0)


def test_a_h1_a_small_error_is_followed_to_its_end() -> None:
    """A second is made good within 17 minutes."""
    slew = Slew(0, NOW_NS)
    for second in range(1, 1001):
        slew.follow(second * SECOND_NS, NOW_NS + (second + 1) * SECOND_NS)

    assert slew.offset_ns == NOW_NS + SECOND_NS


def test_a_h1_a_late_reading_of_an_early_uptime_moves_nothing() -> None:
    """Threads may read out of order."""
    slew = Slew(100 * SECOND_NS, NOW_NS)

    assert slew.follow(50 * SECOND_NS, NOW_NS) == NOW_NS - 100 * SECOND_NS


async def test_a_h1_all_processes_read_the_clock_that_the_parent_keeps(tmp_path) -> None:
    """One that starts after the machine's clock was set says what the others say."""
    async with keeping(tmp_path):
        file = tmp_path / server_clock.FILE
        raw = bytearray(file.read_bytes())
        (offset_ns,) = struct.unpack("<q", raw[-8:])
        with file.open("r+b") as shared:
            shared.seek(-8, 2)
            shared.write(struct.pack("<q", offset_ns + 3600 * SECOND_NS))
        first, second = open_clock(tmp_path), open_clock(tmp_path)

        own_ms = SystemClock().now_ms()
        assert isinstance(first, SharedClock)
        assert abs(first.now_ms() - own_ms - 3_600_000) < 1000
        assert abs(second.now_ms() - first.now_ms()) < 1000

    assert isinstance(open_clock(tmp_path), SystemClock)


async def test_a_h1_a_clock_of_another_run_of_the_machine_is_not_read(tmp_path) -> None:
    """Uptimes begin anew, so what a crash left behind would be any time at all."""
    async with keeping(tmp_path):
        raw = (tmp_path / server_clock.FILE).read_bytes()
    (tmp_path / server_clock.FILE).write_bytes(b"x" * (len(raw) - 8) + raw[-8:])

    assert isinstance(open_clock(tmp_path), SystemClock)


def test_a_h1_the_clock_never_goes_back(tmp_path) -> None:
    """Whatever is written there."""
    file = tmp_path / server_clock.FILE
    file.write_bytes(server_clock._head() + struct.pack("<q", NOW_NS))
    clock = open_clock(tmp_path)
    before = clock.now_ms()
    file.open("r+b").close()
    with file.open("r+b") as shared:
        shared.seek(-8, 2)
        shared.write(struct.pack("<q", NOW_NS - 10 * SECOND_NS))

    assert clock.now_ms() == before
