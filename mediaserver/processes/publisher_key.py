"""Whether a publisher may begin: the key of the stream, and whether it takes publishers."""

from __future__ import annotations

from mediaserver.api.auth import CHALLENGE, NOT_STREAM_KEY
from mediaserver.api.context import Context
from mediaserver.api.streams.takedowns import hold_up
from mediaserver.http.problem import ApiError
from mediaserver.people import stream_archive
from mediaserver.processes.placement import StreamKey


async def check_key(shared: Context, slug: str, key: str) -> StreamKey:
    """Return the stream of a slug and key.

    Raises:
        UnknownNameError: There is no such stream.
        ApiError: 401 for a wrong key, 403 while the stream is archived, 410 or 451 while it is
            taken down.
    """
    record = await shared.book.run(lambda book: book.streams.get(slug))
    if await shared.book.run(lambda book: book.streams.by_key(slug, key)) is None:
        raise ApiError(401, "Not authorised", NOT_STREAM_KEY, CHALLENGE)
    await hold_up(shared, record.id)
    archived = await shared.people.read(
        lambda connection: stream_archive.since(connection, [record.id])
    )
    if archived:
        raise ApiError(
            403, "Archived", f"{slug} is archived: take it back first (`streams unarchive`)"
        )
    return StreamKey(record.id, record.slug, record.key_sha256)
