"""``/api/v1/me/history``: what one watched and paid, show by show; and one's own receipts."""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.money import receipt_answers
from mediaserver.api.notice_page import is_person
from mediaserver.api.people.me import person_of
from mediaserver.api.queries import page_limit
from mediaserver.api.streams.own_streams import names_of
from mediaserver.api.viewers.own_account import known_account
from mediaserver.api.viewers.viewer_self_service import ALLOWANCE
from mediaserver.http.problem import ApiError
from mediaserver.people import shows
from metering.errors import UnknownNameError
from metering.model.watch_history import WatchedShow, by_show
from metering.units import AccountId

PAGE_MAX: Final = 500
_BEFORE: Final = re.compile(r"(\d{1,12})-([0-9a-f]{32})")
HIDDEN_TITLE: Final = "a stream that is not for you any more"


def routes() -> list[web.RouteDef]:
    """Return the routes of looking back."""
    return [
        web.get("/api/v1/me/history", _history),
        web.get("/api/v1/me/receipts/{stream}", _receipts),
    ]


async def _history(request: web.Request) -> web.Response:
    shared = context.of(request)
    limit, before = page_limit(request, PAGE_MAX), _before(request)
    account = await known_account(request, person_of(request))
    rows = [] if account is None else await _watched(request, account)
    if before is not None:
        rows = [row for row in rows if (-row.first_tick, row.stream.bytes) > before]
    page = rows[:limit]
    names = await names_of(request, {row.stream for row in page})
    return web.json_response(
        {
            "shows": [_json(row, names[row.stream], shared.settings.public_url) for row in page],
            "next_before": _cursor(page[-1]) if len(rows) > limit else None,
        }
    )


async def _watched(request: web.Request, account: AccountId) -> list[WatchedShow]:
    """Return all that an account watched; it may be much, so not in the book's thread."""
    shared = context.of(request)
    request.app[ALLOWANCE].hold(f"history of {person_of(request)}", shared.clock.now_ms())
    watched = await shared.book.view(
        lambda book: [*book.watch_history.of(account), *book.given_back.of(account)]
    )
    numbers = await shared.people.read(
        lambda connection: shows.of_streams(connection, {part.stream for part in watched})
    )
    return by_show(watched, numbers)


async def _receipts(request: web.Request) -> web.Response:
    shared, text = context.of(request), request.match_info["stream"]
    try:
        request.app[ALLOWANCE].hold(f"receipts of {person_of(request)}", shared.clock.now_ms())
        account = await known_account(request, person_of(request))
        wanted = _stream(text)
        found = await shared.book.run(lambda book: book.streams.some([wanted] if wanted else []))
        if not found or account is None:
            raise UnknownNameError("you have no receipts of such a stream")
        stream = found[0]
        name = (await names_of(request, {stream.id}))[stream.id]
        if name["stream"] is None:
            stream = replace(stream, slug=text, title=HIDDEN_TITLE)
        return await receipt_answers.answer(request, account, stream, has_link=False)
    except ApiError as error:
        if not is_person(request):
            raise
        return receipt_answers.in_words(error, shared.settings.metering.cut_period_s)


def _stream(text: str) -> UUID | None:
    with contextlib.suppress(ValueError):
        return stream if str(stream := UUID(text)) == text else None
    return None


def _before(request: web.Request) -> tuple[int, bytes] | None:
    text = request.query.get("before")
    if text is None:
        return None
    if (match := _BEFORE.fullmatch(text)) is None:
        fault = f"before: {text[:64]!r} is not what next_before of an answer said"
        raise ApiError(422, "Invalid query", fault)
    return -int(match[1]), UUID(hex=match[2]).bytes


def _cursor(row: WatchedShow) -> str:
    return f"{row.first_tick}-{row.stream.hex}"


def _json(row: WatchedShow, name: dict[str, str | None], public_url: str) -> dict[str, Any]:
    return {
        **name,
        "show": row.show,
        "from_ms": row.first_tick * 1000,
        "to_ms": row.end_tick * 1000,
        "seconds": row.seconds,
        "covered_seconds": row.covered_seconds,
        "planck": str(row.planck),
        "given_back": str(row.given_back),
        "receipts_url": f"{public_url}/api/v1/me/receipts/{row.stream}",
    }
