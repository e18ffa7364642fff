"""Who plays now, by the media that they fetched of late: with a token exactly, without by estimate.

A player with a token plays until what it fetched last is over, and a little longer. Players without
one are not told apart (an address is many people, and one person many): each fetch is somebody who
plays for as long as its media lasts, and the middle of a second of that is their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from mediaserver.ipc.audience import StreamAudience
from mediaserver.playback_token import Grant
from metering.units import AccountId, SessionId

LATE_S: Final = 1.0
LATE_SHARE: Final = 0.5
"""How much later than its media is over a player's next fetch may be: it asks for a list first, in
half of a segment (rfc8216bis, 6.3.4), or waits for a part."""
LATE_MAX_S: Final = 2.0
PLAYERS_MAX: Final = 100_000
"""Of one process, 30 MB: five times as many as one serves."""
SWEEP_S: Final = 10.0
STEPS_PER_S: Final = 10
_LONGEST_MS: Final = 60_000


@dataclass(slots=True)
class _Player:
    account: AccountId
    until_s: float
    edge: str


@dataclass(slots=True)
class _Stream:
    """Players by session; of those without, what each tenth of a second adds to their number."""

    players: dict[SessionId, _Player] = field(default_factory=dict)
    steps: dict[int, int] = field(default_factory=dict)
    level: int = 0
    """Sum of the steps that are no longer in `steps`."""


class Audience:
    """Players of all streams that fetch from this process.

    Attributes:
        dropped: Players that were not counted for want of room.
    """

    def __init__(self, monotonic: Callable[[], float], players_max: int = PLAYERS_MAX) -> None:
        """Count at most `players_max` players with a token."""
        self.dropped = 0
        self._monotonic = monotonic
        self._players_max = players_max
        self._streams: dict[UUID, _Stream] = {}
        self._count = 0
        self._swept_s = float("-inf")

    def watched(self, stream: UUID, duration_ms: int, grant: Grant | None, edge: str = "") -> None:
        """Note that somebody got media of a stream.

        Args:
            grant: What their token grants; None: they have none.
            edge: Address of the edge that asks for them; empty: they ask themselves.
        """
        now_s = self._monotonic()
        if now_s - self._swept_s >= SWEEP_S:
            self._sweep(now_s)
        of_stream = self._streams.get(stream)
        if of_stream is None:
            of_stream = self._streams[stream] = _Stream()
        duration_ms = min(duration_ms, _LONGEST_MS)
        if grant is None:
            steps, step = of_stream.steps, int(now_s * STEPS_PER_S)
            end = step + (-(-duration_ms * STEPS_PER_S // 1000) or 1)
            steps[step] = steps.get(step, 0) + 1
            steps[end] = steps.get(end, 0) - 1
            return
        duration_s = duration_ms / 1000
        late_s = max(LATE_S, min(LATE_MAX_S, duration_s * LATE_SHARE))
        until_s = now_s + duration_s + late_s
        player = of_stream.players.get(grant.session)
        if player is not None:
            player.until_s, player.edge = max(player.until_s, until_s), edge
        elif self._count < self._players_max:
            of_stream.players[grant.session] = _Player(grant.account, until_s, edge)
            self._count += 1
        else:
            self.dropped += 1

    def reading(self) -> list[StreamAudience]:
        """Return who plays now, of each stream that somebody plays."""
        now_s = self._monotonic()
        self._sweep(now_s)
        return [
            StreamAudience.of(
                stream,
                [(it.account, session, it.edge) for session, it in of_stream.players.items()],
                _estimate(of_stream, now_s),
            )
            for stream, of_stream in self._streams.items()
        ]

    def _sweep(self, now_s: float) -> None:
        """Forget who plays no more."""
        self._swept_s, self._count = now_s, 0
        # A second of steps is what an estimate is made of.
        oldest = int((now_s - 1) * STEPS_PER_S)
        for stream, of_stream in list(self._streams.items()):
            of_stream.players = {
                session: player
                for session, player in of_stream.players.items()
                if player.until_s > now_s
            }
            for step in [step for step in of_stream.steps if step <= oldest]:
                of_stream.level += of_stream.steps.pop(step)
            self._count += len(of_stream.players)
            if not of_stream.players and not of_stream.steps:
                del self._streams[stream]


def _estimate(of_stream: _Stream, now_s: float) -> int:
    """Return the median of the last second's tenths."""
    newest = int(now_s * STEPS_PER_S)
    level, levels = of_stream.level, []
    for step in range(newest - STEPS_PER_S + 1, newest + 1):
        level += of_stream.steps.get(step, 0)
        levels.append(level)
    return sorted(levels)[STEPS_PER_S // 2]
