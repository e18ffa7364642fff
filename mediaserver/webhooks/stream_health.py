"""Whether a show is well: told when that changed for a while, in the transaction that keeps it.

A show is unwell while there is advice for its creator, or while its media does not come. It begins
well: of a show that never was unwell nothing is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select

from mediaserver.webhooks.records import Event, EventKind
from mediaserver.webhooks.schema import bad
from mediaserver.webhooks.told_facts import stream_of

STEADY_MS: Final = 10_000
"""What is over sooner is nothing that somebody could mend."""


@dataclass(frozen=True, slots=True)
class ShowHealth:
    """What a worker says of its show.

    Attributes:
        state: ``live``, ``waiting`` or ``restarting``.
        advice: What its creator should do, in words.
    """

    show: int
    state: str
    advice: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        """Return whether something is wrong with it."""
        return self.state != "live" or bool(self.advice)


class Steady:
    """Which shows have been in another state than was told, for long enough."""

    def __init__(self) -> None:
        self._since_ms: dict[tuple[UUID, int], int] = {}

    def changed(
        self, shows: Mapping[UUID, ShowHealth], told_bad: Mapping[UUID, int], now_ms: int
    ) -> dict[UUID, ShowHealth]:
        """Return those whose change is to be told.

        Args:
            told_bad: The shows that were told to be unwell, by stream.
        """
        others = {
            stream: health
            for stream, health in shows.items()
            if health.is_bad != (told_bad.get(stream) == health.show)
        }
        self._since_ms = {
            (stream, health.show): self._since_ms.get((stream, health.show), now_ms)
            for stream, health in others.items()
        }
        return {
            stream: health
            for stream, health in others.items()
            if now_ms - self._since_ms[stream, health.show] >= STEADY_MS
        }


def known_bad(connection: Connection) -> dict[UUID, int]:
    """Return the shows that were told to be unwell, by stream."""
    return {row.stream: row.show for row in connection.execute(select(bad))}


def keep(connection: Connection, changed: Mapping[UUID, ShowHealth], now_ms: int) -> list[Event]:
    """Write down what changed; return what is told of it."""
    events = []
    for stream, health in changed.items():
        forget(connection, stream)
        if health.is_bad:
            connection.execute(insert(bad).values(stream=stream, show=health.show))
        data = {
            "stream": stream_of(connection, stream),
            "show": health.show,
            "health": "bad" if health.is_bad else "good",
            "state": health.state,
            "advice": list(health.advice),
        }
        events.append(Event(EventKind.STREAM_HEALTH, stream.hex, now_ms, data))
    return events


def forget(connection: Connection, stream: UUID) -> None:
    """Forget what was told of a stream's show: it is over."""
    connection.execute(delete(bad).where(bad.c.stream == stream))
