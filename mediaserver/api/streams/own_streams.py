"""Names of streams that somebody watched, where they may still see them."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.who import principal
from mediaserver.people import guests


async def names_of(
    request: web.Request, streams: Collection[UUID]
) -> dict[UUID, dict[str, str | None]]:
    """Return id, slug and title of streams; without the last two of one that is not for them now.

    What they watched of it and paid stays theirs to know.
    """
    shared, who = context.of(request), principal(request)
    records = await shared.book.run(lambda book: book.streams.some(streams))
    seen = await shared.people.read(
        lambda connection: {stream for stream in streams if guests.sees(connection, stream, who)}
    )
    known = {record.id: record for record in records if record.id in seen}
    return {
        stream: {
            "stream_id": str(stream),
            "stream": known[stream].slug if stream in known else None,
            "title": known[stream].title if stream in known else None,
        }
        for stream in streams
    }
