"""Whether a publisher may begin: the stream's key, its state, the operator's own server."""

from __future__ import annotations

from mediaserver.api.auth import CHALLENGE, NOT_STREAM_KEY
from mediaserver.api.context import Context
from mediaserver.api.streams.decisions import may_publish
from mediaserver.api.streams.takedowns import hold_up
from mediaserver.http.problem import ApiError
from mediaserver.people import stream_archive
from mediaserver.processes.placement import StreamKey


async def check_key(shared: Context, slug: str, key: str, client: str) -> StreamKey:
    """Return the stream of a slug and key.

    Args:
        client: Address that the publisher comes from.

    Raises:
        UnknownNameError: There is no such stream.
        ApiError: 401 for a wrong key, 403 while the stream is archived, 410 or 451 while it is
            taken down; 403 or 503 ``hook``: the operator's server does not allow it.
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
    await may_publish(shared, record, client)
    return StreamKey(record.id, record.slug, record.key_sha256)
