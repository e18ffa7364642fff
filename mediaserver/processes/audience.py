"""Who plays now, of all HTTP processes together: control asks them when it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import aiohttp
from prometheus_client import Gauge

from mediaserver.api.streams.audience_count import AudienceCount, Player
from mediaserver.errors import LinkError
from mediaserver.http import unix_http
from mediaserver.ipc.audience import AUDIENCE_PATH, StreamAudience, decode

TIMEOUT_S: Final = 1.0
"""A process that is too busy to answer within it is left out, and the answer says so."""
KEPT_S: Final = 0.5
"""Who asks again within it gets the same: 2 s are promised, and players are late by up to 1."""
BYTES_MAX: Final = 64 << 20
_SOCKETS: Final = "http-*.sock"

_VIEWERS: Final = Gauge("mediaserver_audience_active_viewers", "Viewers who play now, by account")
_STREAMS: Final = Gauge(
    "mediaserver_audience_concurrent_streams", "Streams that somebody plays now"
)
_ESTIMATED: Final = Gauge(
    "mediaserver_audience_estimated_players", "Players without a token, by what they fetch"
)


class LiveAudience:
    """Gathers from the processes whose sockets are in the run directory."""

    def __init__(self, run_dir: Path, monotonic: Callable[[], float]) -> None:
        self._run_dir = run_dir
        self._monotonic = monotonic
        self._asked_s = float("-inf")
        self._under_way: asyncio.Task[AudienceCount] | None = None

    async def count(self) -> AudienceCount:
        """Return who plays now."""
        now_s = self._monotonic()
        under_way = self._under_way
        if under_way is None or (under_way.done() and now_s - self._asked_s >= KEPT_S):
            self._asked_s = now_s
            self._under_way = under_way = asyncio.create_task(self._gather())
        return await asyncio.shield(under_way)

    async def measure(self) -> None:
        """Set the metrics."""
        count = await self.count()
        accounts = {player.account for those in count.players.values() for player in those}
        estimated = {stream for stream, number in count.estimates.items() if number}
        _VIEWERS.set(len(accounts))
        _STREAMS.set(len({stream for stream, those in count.players.items() if those} | estimated))
        _ESTIMATED.set(sum(count.estimates.values()))

    async def _gather(self) -> AudienceCount:
        answers = await asyncio.gather(*map(_ask, sorted(self._run_dir.glob(_SOCKETS))))
        players: dict[UUID, dict[int, Player]] = {}
        estimates: dict[UUID, int] = {}
        for audience in _all(answers):
            of_stream = players.setdefault(audience.stream, {})
            for account, session, edge in audience.players():
                of_stream[session] = Player(account, session, edge)
            known = estimates.get(audience.stream, 0)
            estimates[audience.stream] = known + audience.estimate
        return AudienceCount(
            {stream: tuple(those.values()) for stream, those in players.items()},
            estimates,
            is_complete=None not in answers,
        )


def _all(answers: list[tuple[StreamAudience, ...] | None]) -> Iterator[StreamAudience]:
    for answer in answers:
        yield from answer or ()


async def _ask(socket: Path) -> tuple[StreamAudience, ...] | None:
    """Return what a process says, None when it does not answer."""
    try:
        async with (
            unix_http.client(socket, TIMEOUT_S) as session,
            session.get(f"http://process{AUDIENCE_PATH}") as response,
        ):
            if response.status != 200 or (response.content_length or 0) > BYTES_MAX:
                return None
            return decode(await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError, LinkError):
        return None
