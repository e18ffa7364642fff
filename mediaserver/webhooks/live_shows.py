"""Which shows targets were told to be live: in the transaction of the event that told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select

from mediaserver.webhooks.schema import live


@dataclass(frozen=True, slots=True)
class ShowChange:
    """A show went live, or ended."""

    stream: UUID
    show: int
    is_live: bool


def all_of(connection: Connection) -> dict[UUID, int]:
    """Return the show of each stream that was told to be live."""
    return {row.stream: row.show for row in connection.execute(select(live))}


def take(connection: Connection, shows: Mapping[UUID, int], *, is_whole: bool) -> list[ShowChange]:
    """Return what changed since the last call, ends first, and keep what is now.

    Args:
        shows: Those that are live, by stream.
        is_whole: What is not among them has ended.
    """
    known = all_of(connection)
    changes = []
    for stream, show in known.items():
        if shows.get(stream, None if is_whole else show) != show:
            changes.append(ShowChange(stream, show, is_live=False))
            connection.execute(delete(live).where(live.c.stream == stream))
    for stream, show in shows.items():
        if known.get(stream) != show:
            changes.append(ShowChange(stream, show, is_live=True))
            connection.execute(insert(live).values(stream=stream, show=show))
    return changes


def forget_all(connection: Connection) -> None:
    """Forget them: nobody is told that they end."""
    connection.execute(delete(live))
