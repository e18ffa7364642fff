"""Ends the sessions of those who may no longer see a stream, when whom it is for was changed.

The change and the sessions' ends are one transaction of the book; HTTP processes learn of both at
once by their policy (`Policy.ended_sessions`), which also counts while the store is away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.who import audited
from mediaserver.people import guests
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.book.records import SessionRecord
from metering.errors import StoreUnavailableError

T = TypeVar("T")

UNINVITED: Final = "uninvited"
"""Why a session ended, in its row, its log line and its meter."""


async def change(
    request: web.Request,
    action: str,
    stream: UUID,
    work: Callable[[Book, Connection], T],
    *,
    before: Callable[[Book, Connection], Mapping[str, Any]] = lambda _, __: {},
    after: Callable[[T], Mapping[str, Any]] = lambda _: {},
) -> T:
    """Return what `work` returns, done with its entry in the audit log, and end who may not see."""
    shared = context.of(request)
    now_ms = shared.clock.now_ms()

    def run(book: Book, connection: Connection) -> tuple[T, list[SessionRecord]]:
        made = work(book, connection)
        playing = book.sessions.of_stream(stream, now_ms)
        may = guests.may_all_watch(connection, stream, {known.account for known in playing})
        ended = [known for known in playing if known.account not in may]
        book.sessions.end_all(ended, UNINVITED, now_ms)
        return made, ended

    made, ended = await audited(
        request,
        action,
        f"stream:{stream}",
        run,
        before=before,
        after=lambda pair: {**after(pair[0]), **({"ended": len(pair[1])} if pair[1] else {})},
    )
    shared.changed()
    await tell_store(shared, ended, UNINVITED)
    return made


async def tell_store(shared: Context, ended: list[SessionRecord], reason: str) -> None:
    """End sessions there too; one that is away is rebuilt of the book, which has them ended."""
    with contextlib.suppress(StoreUnavailableError):
        async with shared.store() as store:
            for known in ended:
                await store.end_session(known.account, known.session, reason)
