"""Which shows each stream had: kept when a worker first tells of one, for who looks back."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Connection, insert, select

from mediaserver.people.schema import stream_shows


def keep(connection: Connection, stream: UUID, show: int) -> None:
    """Note that a stream has this show; again changes nothing."""
    shows = stream_shows.c
    query = select(shows.show).where(shows.stream == stream, shows.show == show)
    if connection.execute(query).one_or_none() is None:
        connection.execute(insert(stream_shows).values(stream=stream, show=show))


def of_streams(connection: Connection, streams: Collection[UUID]) -> dict[UUID, list[int]]:
    """Return the numbers of the shows of these streams, ascending."""
    found: dict[UUID, list[int]] = {}
    for stream in streams:
        query = select(stream_shows.c.show).where(stream_shows.c.stream == stream)
        found[stream] = list(connection.execute(query.order_by(stream_shows.c.show)).scalars())
    return found
