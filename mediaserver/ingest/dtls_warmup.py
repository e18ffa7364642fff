"""A spare worker's handshake with itself, so that no publisher waits for a first time.

The first DTLS handshake of a process loads and sets up what later ones find there (OpenSSL, the
certificate, SRTP): 25 ms of the 60 from a browser's POST to connected (bench/connect.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.ingest.dtls import Dtls, DtlsPath, certificate, sha256_of

LONGEST_S: Final = 2.0
"""A spare worker that cannot shake hands with itself is still a worker: it goes on and logs it."""

_log = log.get("ingest")


async def loopback_handshake(clock: Clock) -> bool:
    """Shake hands with itself in memory, no socket; return whether that went well."""
    local = certificate(clock.now_ms())
    fingerprints = (("sha-256", sha256_of(local)),)
    ends: list[Dtls] = []
    loop = asyncio.get_running_loop()

    def to(other: int) -> Callable[[bytes], bool]:
        def send(data: bytes) -> bool:
            loop.call_soon(ends[other].feed, bytes(data))
            return True

        return send

    ends += (Dtls(DtlsPath(to(1 - own)), local, own == 0, lambda: None) for own in range(2))
    try:
        async with asyncio.timeout(LONGEST_S):
            await asyncio.gather(*(end.connect(fingerprints) for end in ends))
    except (ConnectionError, TimeoutError) as error:
        _log.warning("whip.rehearsal.failed", reason=str(error) or "it took too long")
        return False
    finally:
        for end in ends:
            with contextlib.suppress(ConnectionError):
                await end.close()
    return True
