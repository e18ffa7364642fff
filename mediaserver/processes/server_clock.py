"""One clock for all processes of a server: the parent keeps it, the others read it.

The parent anchors it when it starts and slews it; what it holds is the difference of Unix time and
the machine's uptime, eight bytes of the file ``run/clock`` that every process has mapped. So a
worker that is started an hour after the machine's clock was set wrong says the same time as the
one that began before.
"""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from mediaserver.clock import Clock, Slew, SystemClock, uptime_ns

FILE: Final = "clock"
"""Under ``run/``."""
FOLLOW_S: Final = 1.0
"""At the slew's pace a millisecond: no reader sees a larger step."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_OFFSET: Final = struct.Struct("<q")
_HEAD_BYTES: Final = 40
"""The machine's boot id, so that nobody reads what another run of the machine left; then, aligned
so that it is written and read at once, the offset."""


class SharedClock:
    """The server's clock, as its parent keeps it."""

    def __init__(self, shared: mmap.mmap) -> None:
        self._shared = shared
        self._newest_ms = 0

    def now_ms(self) -> int:
        """Return Unix time in whole milliseconds; it never goes back."""
        (offset_ns,) = _OFFSET.unpack_from(self._shared, _HEAD_BYTES)
        self._newest_ms = max(self._newest_ms, (uptime_ns() + offset_ns) // 1_000_000)
        return self._newest_ms

    def monotonic(self) -> float:
        """Return `time.monotonic`."""
        return time.monotonic()


def open_clock(run_dir: Path) -> Clock:
    """Return the clock of the server that keeps one there, else one of this process alone."""
    try:
        with (run_dir / FILE).open("rb") as file:
            shared = mmap.mmap(file.fileno(), _HEAD_BYTES + _OFFSET.size, prot=mmap.PROT_READ)
    except (OSError, ValueError):
        return SystemClock()
    if shared[:_HEAD_BYTES] != _head():
        shared.close()
        return SystemClock()
    return SharedClock(shared)


@contextlib.asynccontextmanager
async def keeping(run_dir: Path) -> AsyncIterator[None]:
    """Keep the server's clock while the block runs."""
    slew = Slew(uptime_ns(), time.time_ns())
    fresh = run_dir / f"{FILE}.new"
    fresh.write_bytes(_head() + _OFFSET.pack(slew.offset_ns))
    with fresh.open("r+b") as file:
        shared = mmap.mmap(file.fileno(), _HEAD_BYTES + _OFFSET.size)
    fresh.replace(run_dir / FILE)
    following = asyncio.create_task(_follow(slew, shared))
    try:
        yield
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        (run_dir / FILE).unlink(missing_ok=True)
        shared.close()


async def _follow(slew: Slew, shared: mmap.mmap) -> None:
    while True:
        await asyncio.sleep(FOLLOW_S)
        _OFFSET.pack_into(shared, _HEAD_BYTES, slew.follow(uptime_ns(), time.time_ns()))


def _head() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()[:_HEAD_BYTES].ljust(_HEAD_BYTES)
    except OSError:
        return bytes(_HEAD_BYTES)
