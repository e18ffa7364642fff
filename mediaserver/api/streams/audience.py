"""``/api/v1/streams/{slug}/audience``: who watches; ``/api/v1/usage``: who watched what, as lines.

Now, by what players fetch; by the minute, from the book: the ticks that were billed, exactly.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.queries import number, page_limit, whole
from mediaserver.http.problem import ApiError
from metering.book.book import Book
from metering.model.usage import HOUR_MINUTES, MINUTE_TICKS, StreamMinute, ViewerHour
from metering.units import AccountId, Planck, account_text

PAGE_MINUTES: Final = 1000
PAGE_HOURS: Final = 1000
"""Hours of viewers in a page: 60,000 lines at most, some 10 MB."""
SECOND_MAX: Final = (1 << 40) - 1
CURSOR_MAX: Final = (1 << 53) - 1
CURSOR_HEADER: Final = "Next-After"
"""The cursor, where the body is lines."""
_COLUMNS: Final = (
    "stream",
    "stream_id",
    "viewer",
    "minute",
    "price_version",
    "planck_per_s",
    "seconds",
    "planck",
)
_TYPES: Final = {"csv": "text/csv", "jsonl": "application/jsonl", "json": "application/json"}


def routes() -> list[web.RouteDef]:
    """Return the routes of the audience."""
    return [
        web.get("/api/v1/streams/{slug}/audience", _now),
        web.get("/api/v1/streams/{slug}/audience/minutes", _minutes),
        web.get("/api/v1/usage", _usage),
    ]


async def _now(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    stream = (await shared.book.run(lambda book: book.streams.get(slug))).id
    count = await shared.audience()
    players = count.players.get(stream, ())
    edges: dict[str, int] = {}
    for player in players:
        if player.edge:
            edges[player.edge] = edges.get(player.edge, 0) + 1
    return web.json_response(
        {
            "stream": slug,
            "at_ms": shared.clock.now_ms(),
            "viewers": count.viewers(stream),
            "players": len(players),
            "players_by_edge": edges,
            "estimated_players": count.estimates.get(stream, 0),
            "is_complete": count.is_complete,
        }
    )


async def _minutes(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    first = _second(request, "from", 0)
    end = _second(request, "to", SECOND_MAX)
    limit = page_limit(request, PAGE_MINUTES)

    def read(book: Book) -> list[StreamMinute]:
        stream = book.streams.get(slug).id
        begin, stop = first // MINUTE_TICKS, -(-end // MINUTE_TICKS)
        return book.usage.minutes(stream, begin, stop, limit + 1)

    found = await shared.book.view(read)
    return web.json_response(
        {
            "stream": slug,
            "minutes": [_minute_json(minute) for minute in found[:limit]],
            "next_from": found[limit].minute * MINUTE_TICKS if len(found) > limit else None,
        }
    )


async def _usage(request: web.Request) -> web.Response:
    shared = context.of(request)
    form = request.query.get("format", "json")
    if form not in _TYPES:
        known = ", ".join(_TYPES)
        raise ApiError(422, "Invalid query", f"format: {form[:20]} is not known; use {known}")
    given = request.query.get("after", "0")
    after = 0 if given == "0" else whole(given, "after", CURSOR_MAX)
    limit = page_limit(request, PAGE_HOURS)
    slug, viewer = request.query.get("stream"), request.query.get("viewer")

    def read(book: Book) -> tuple[bytes, int]:
        names = _Names.of(book)
        page = book.usage.changed(
            after,
            limit,
            stream=None if slug is None else book.streams.get(slug).id,
            account=None if viewer is None else book.viewers.get(viewer).account,
        )
        lines = [line for hour in page for line in _lines(hour, names)]
        cursor = page[-1].revision if page else after
        return _body(form, lines, cursor, is_end=len(page) < limit), cursor

    # Not on the loop, nor in the book's only thread: a page may have 60,000 lines.
    body, cursor = await shared.book.view(read)
    return web.Response(
        body=body,
        content_type=_TYPES[form],
        charset="utf-8",
        headers={CURSOR_HEADER: str(cursor)},
    )


@dataclass(frozen=True, slots=True)
class _Names:
    slugs: dict[UUID, str]
    prices: dict[tuple[UUID, int], Planck]

    @classmethod
    def of(cls, book: Book) -> _Names:
        slugs = {stream.id: stream.slug for stream in book.streams.all()}
        return cls(slugs, book.streams.prices())


def _lines(hour: ViewerHour, names: _Names) -> Iterator[tuple[Any, ...]]:
    """Yield the columns of each minute that was watched."""
    price = names.prices[hour.stream, hour.version]
    for place, ticks in enumerate(hour.minutes):
        if ticks:
            yield (
                names.slugs[hour.stream],
                str(hour.stream),
                account_text(AccountId(hour.account)),
                (hour.hour * HOUR_MINUTES + place) * MINUTE_TICKS,
                hour.version,
                str(price),
                ticks,
                str(ticks * price),
            )


def _body(form: str, lines: Iterable[tuple[Any, ...]], cursor: int, *, is_end: bool) -> bytes:
    if form == "csv":
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_COLUMNS, *lines])
        return text.getvalue().encode()
    usage = [dict(zip(_COLUMNS, line, strict=True)) for line in lines]
    if form == "jsonl":
        return "".join(f"{json.dumps(line)}\n" for line in usage).encode()
    return json.dumps({"usage": usage, "next_after": cursor, "is_end": is_end}).encode()


def _minute_json(minute: StreamMinute) -> dict[str, Any]:
    return {
        "minute": minute.minute * MINUTE_TICKS,
        "peak": minute.peak,
        "viewers": minute.viewers,
        "watch_seconds": minute.ticks,
        "planck": str(minute.planck),
        "seconds": list(minute.seconds),
    }


def _second(request: web.Request, name: str, default: int) -> int:
    """Return a Unix second of a query."""
    return 0 if request.query.get(name) == "0" else number(request, name, default, SECOND_MAX)
