"""Says when the server can be used and where, and until then what it waits for."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable
from typing import Final

from mediaserver import log
from mediaserver.processes import library_pages
from mediaserver.processes.service_manager import missing
from mediaserver.settings.records import Settings
from metering.log_throttle import LogThrottle

ASK_S: Final = 0.5
"""Between two questions while it is not ready."""
STEADY_ASK_S: Final = 10.0
"""Once it was: what it waits for is in the log within this."""
PATIENCE_S: Final = 10.0
"""A start takes seconds: what is missing sooner is no fault."""

_log = log.get("server")


async def announce(
    settings: Settings,
    stop: asyncio.Event,
    ask: Callable[[str, int], Awaitable[list[str]]] = missing,
    *,
    patience_s: float = PATIENCE_S,
    ask_s: float = ASK_S,
    steady_ask_s: float = STEADY_ASK_S,
) -> None:
    """Log the address to open once the server is ready, and each minute what keeps it from it.

    Args:
        ask: Returns what a server on a host and port misses.
    """
    throttle = LogThrottle()
    loop = asyncio.get_running_loop()
    is_ready, waits_since_s = False, loop.time()
    while not stop.is_set():
        faults = await ask(settings.server.host, settings.server.port)
        if not faults:
            throttle.succeeded()
            waits_since_s = loop.time()
            if not is_ready:
                is_ready = True
                _log.info("server.address.ready", url=f"{settings.public_url}/")
                if sys.stdout.isatty():
                    sys.stdout.write(f"Vilokanam is ready: {settings.public_url}/\n")
                library_pages.release_later()
        elif loop.time() - waits_since_s >= patience_s:
            if count := throttle.failed("; ".join(faults)):
                waited_s = round(loop.time() - waits_since_s)
                _log.error("server.ready.waiting", faults=faults, waited_s=waited_s, times=count)
            is_ready = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(steady_ask_s if is_ready else ask_s):
                await stop.wait()
