"""A look at one Redis from outside the server: its settings, its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import redis.asyncio

from metering.store.store_connection import StoreConnection, errors_as_unavailable

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What a Redis says of itself.

    Attributes:
        version: Such as ``7.0.15``.
        ahead_s: Seconds by which its clock is ahead of ours; negative when it is behind.
    """

    version: str
    ahead_s: float


async def inspect(url: str, fsync: str, now_s: Callable[[], float] = time.time) -> StoreFacts:
    """Return the facts of a Redis whose settings keep what is written.

    Args:
        now_s: Our clock, Unix seconds: the server's, while it runs.

    Raises:
        StoreUnavailableError: It does not answer.
        StoreRefusedError: It would lose money; names the setting.
    """
    judged = StoreConnection(url, fsync, ())
    try:
        await judged.refresh()
    finally:
        await judged.close()
    client = redis.asyncio.Redis.from_url(
        url, protocol=2, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
    )
    try:
        async with errors_as_unavailable():
            version = str((await client.info("server"))["redis_version"])
            # The answer was made half a round trip before it came.
            asked_s = now_s()
            seconds, micros = await client.time()
            ours_s = (asked_s + now_s()) / 2
    finally:
        await client.aclose()
    return StoreFacts(version, seconds + micros / 1e6 - ours_s)
