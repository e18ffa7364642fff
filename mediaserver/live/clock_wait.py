"""A publisher whose stream is planned ahead of the server's clock waits for it, if not for long."""

from __future__ import annotations

import asyncio

from mediaserver.clock import Clock
from mediaserver.hls.slots import EARLY_WAIT_MS, LEAD_MAX_MS, early_text


async def until_due(floor_ms: int, clock: Clock) -> str:
    """Return why a timeline that begins at `floor_ms` may not begin yet, empty when it may."""
    early_ms = floor_ms - clock.now_ms() - LEAD_MAX_MS
    if 0 < early_ms <= EARLY_WAIT_MS:
        await asyncio.sleep(early_ms / 1000)
    return early_text(floor_ms, clock.now_ms())
