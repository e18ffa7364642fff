"""Take-downs: a stream that staff closes to everybody at once, with a reason, and puts back.

A take-down, its entry in the audit log and the ends of the sessions that run are one transaction;
HTTP processes refuse everything of the stream from the next policy on, and its worker ends the
publisher when control tells it at its next report.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.queries import page_limit, whole
from mediaserver.api.streams.uninvited import tell_store
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import takedowns
from mediaserver.people.service import Connection
from mediaserver.people.takedowns import TAKEN_DOWN, TakeDown
from metering.book.book import Book
from metering.book.records import SessionRecord

PAGE_MAX: Final = 500
_NUMBER_MAX: Final = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class NewTakeDown:
    """Body of a take-down."""

    reason: str
    is_legal: bool = False


def routes() -> list[web.RouteDef]:
    """Return the routes of take-downs."""
    return [
        web.get("/api/v1/takedowns", _list),
        web.post("/api/v1/streams/{slug}/takedown", _add),
        web.delete("/api/v1/streams/{slug}/takedown", _end),
    ]


async def hold_up(shared: Context, stream: UUID) -> None:
    """Hold that a stream is not taken down.

    Raises:
        ApiError: 410 or 451 ``taken_down``, with the reason.
    """
    await shared.people.read(lambda connection: check_up(connection, stream))


def check_up(connection: Connection, stream: UUID) -> None:
    """Hold it in the caller's transaction; as `hold_up`."""
    known = takedowns.held(connection, stream)
    if known is not None:
        text = takedowns.words(known.reason, is_legal=known.is_legal)
        raise ApiError(known.status, "Taken down", text, reason=TAKEN_DOWN)


def takedown_json(known: TakeDown) -> dict[str, Any]:
    """Return a take-down as the API shows it with its stream."""
    return {"reason": known.reason, "is_legal": known.is_legal, "made_ms": known.made_ms}


async def _list(request: web.Request) -> web.Response:
    shared, limit = context.of(request), page_limit(request, PAGE_MAX)
    given = request.query.get("before")
    before = None if given is None else whole(given, "before", _NUMBER_MAX)
    found = await shared.people.read(
        lambda connection: takedowns.page(connection, limit + 1, before)
    )
    streams = {item.stream for item in found}
    slugs = await shared.book.run(lambda book: book.streams.slugs(streams))
    return web.json_response(
        {
            "takedowns": [
                {
                    "stream": slugs.get(item.stream),
                    **takedown_json(item),
                    "made_by": item.made_by,
                    "ended_ms": item.ended_ms,
                }
                for item in found[:limit]
            ],
            "next_before": found[limit - 1].number if len(found) > limit else None,
        }
    )


async def _add(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    wanted = await request_records.read(request, NewTakeDown)
    now_ms, who = shared.clock.now_ms(), principal(request)
    stream = (await shared.book.run(lambda book: book.streams.get(slug))).id

    def add(book: Book, connection: Connection) -> tuple[TakeDown, list[SessionRecord]]:
        made = takedowns.add(connection, stream, wanted.reason, wanted.is_legal, who.actor, now_ms)
        playing = book.sessions.of_stream(stream, now_ms)
        book.sessions.end_all(playing, TAKEN_DOWN, now_ms)
        return made, playing

    made, ended = await audited(
        request,
        "stream.takedown",
        f"stream:{stream}",
        add,
        after=lambda pair: {"is_legal": pair[0].is_legal, "ended": len(pair[1])},
    )
    shared.changed()
    await tell_store(shared, ended, TAKEN_DOWN)
    return web.json_response(
        {"stream": slug, **takedown_json(made), "ended": len(ended)}, status=HTTPStatus.CREATED
    )


async def _end(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    now_ms = shared.clock.now_ms()
    stream = (await shared.book.run(lambda book: book.streams.get(slug))).id
    known = await audited(
        request,
        "stream.put_back",
        f"stream:{stream}",
        lambda _, connection: takedowns.end(connection, stream, now_ms),
    )
    shared.changed()
    return web.json_response({"stream": slug, **takedown_json(known), "ended_ms": now_ms})
