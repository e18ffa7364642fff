"""``/api/v1/viewers/{viewer}/sessions``: who watches at a viewer's cost, and how to end it.

The owner does the same for themselves, below their token (viewer_self_service.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.who import audited
from mediaserver.http.problem import ApiError
from metering.book.book import Book
from metering.book.records import SessionRecord
from metering.units import AccountId, SessionId, account_text, session_text

OPERATOR: Final = "operator"
OWNER: Final = "owner"
"""Who ended a session: the reason that its row, its log line and its meter show."""
SHOWN_MAX: Final = 500
"""Newest sessions in one answer: an account has two players a stream, and few streams."""


def routes() -> list[web.RouteDef]:
    """Return the routes of sessions."""
    return [
        web.get("/api/v1/viewers/{viewer}/sessions", _list),
        web.delete("/api/v1/viewers/{viewer}/sessions", _end),
        web.delete("/api/v1/viewers/{viewer}/sessions/{session}", _end),
    ]


async def listing(shared: Context, account: AccountId) -> web.Response:
    """Answer with the sessions of an account whose end has not come, newest first."""
    now_ms = shared.clock.now_ms()

    def read(book: Book) -> tuple[list[SessionRecord], dict[UUID, str]]:
        known = book.sessions.of_account(account, now_ms, SHOWN_MAX)
        return known, book.streams.slugs({record.stream for record in known})

    known, slugs = await shared.book.run(read)
    return web.json_response({"sessions": [shown(record, slugs, now_ms) for record in known]})


Ended = tuple[int, list[SessionId]]
"""How many sessions ended in the book, and those that the store has to end."""
Ending = Callable[[Book], Ended]
"""What ends them in the book."""


async def end(
    shared: Context,
    account: AccountId,
    reason: str,
    only: str | None,
    write: Callable[[Ending], Awaitable[Ended]] | None = None,
) -> web.Response:
    """End an account's sessions for good, or the one that `only` names; repeating is harmless.

    Args:
        write: Runs what ends them in the book; None: as a transaction of its own.

    Raises:
        StoreUnavailableError: The book has them ended; ask again, so that the store has it too.
        UnknownNameError: The account has no such session.
    """
    session = None if only is None else number(only)
    now_ms = shared.clock.now_ms()
    # First: while it is away nothing is changed, as a session that goes on would be a wrong answer.
    async with shared.store() as store:
        count, known = await (write or shared.book.run)(
            lambda book: book.sessions.end_account(account, reason, now_ms, session)
        )
        for ended in known:
            await store.end_session(account, ended, reason)
    shared.changed()
    return web.json_response({"ended": count})


async def _list(request: web.Request) -> web.Response:
    shared = context.of(request)
    return await listing(shared, await _account(request, shared))


async def _end(request: web.Request) -> web.Response:
    account = await _account(request, context.of(request))
    return await end_audited(request, account, OPERATOR, request.match_info.get("session"))


async def end_audited(
    request: web.Request, account: AccountId, reason: str, only: str | None
) -> web.Response:
    """End an account's sessions as `end` does, and log who did."""

    async def write(work: Ending) -> Ended:
        return await audited(
            request,
            "viewer.session.end",
            f"viewer:{account_text(account)}",
            lambda book, _: work(book),
            after=lambda ended: {"session": only, "ended": ended[0]},
            is_change=lambda ended: ended[0] > 0,
        )

    return await end(context.of(request), account, reason, only, write)


async def _account(request: web.Request, shared: Context) -> AccountId:
    name = request.match_info["viewer"]
    return (await shared.book.run(lambda book: book.viewers.get(name))).account


def number(text: str) -> SessionId:
    """Return a session's number.

    Raises:
        ApiError: 422.
    """
    try:
        value = int(text, 16)
    except ValueError:
        value = 0
    session = SessionId(value)
    if not 0 < value < 1 << 64 or session_text(session) != text:
        raise ApiError(
            422, "Invalid session", f"{text[:64]} is not a session: give its 16 hexadecimal digits"
        )
    return session


def shown(record: SessionRecord, slugs: Mapping[UUID, str], now_ms: int) -> dict[str, Any]:
    """Return a session as the API shows it."""
    if record.ended_ms is not None:
        state = record.reason
    else:
        state = "live" if now_ms < record.expires_ms else "expired"
    return {
        "session": session_text(record.session),
        "stream": slugs.get(record.stream),
        "state": state,
        "created_ms": record.created_ms,
        "expires_ms": record.expires_ms,
        "ends_ms": record.ends_ms,
        "ended_ms": record.ended_ms,
    }
