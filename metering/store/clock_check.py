"""Whether the server's clock and Redis' agree: sessions and claims are judged by Redis'."""

from __future__ import annotations

from typing import Final

from metering.errors import StoreUnavailableError
from metering.store import resp

APART_MAX_MS: Final = 1_000
"""What two machines under NTP never reach. At a minute claims are refused."""
TIME: Final = resp.command(b"TIME")


def time_of(reply: object) -> int:
    """Return Unix time in ms from the reply to `TIME`.

    Raises:
        StoreUnavailableError: It is an error.
    """
    if not isinstance(reply, list):
        raise StoreUnavailableError(f"Redis: {reply}")
    return int(reply[0]) * 1000 + int(reply[1]) // 1000


def apart_fault(server_ms: int, redis_ms: int) -> str:
    """Return what is wrong with two clocks that were read at once, empty when they agree."""
    apart_ms = server_ms - redis_ms
    if abs(apart_ms) <= APART_MAX_MS:
        return ""
    side = "ahead of" if apart_ms > 0 else "behind"
    return (
        f"the server's clock is {abs(apart_ms) / 1000:.1f} s {side} Redis': set the clocks of both "
        "machines by NTP, and restart the server (it follows its machine by 1 ms a second only); "
        "sessions end at the wrong time, and beyond a minute claims are refused"
    )
