"""Reports: anybody says what is wrong with a stream, staff reads it and says what they made of it.

Anybody posts to ``/{slug}/report``, in JSON or by the form that is shown there, and few times an
hour from one address. The front judged before whether they may know of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.notice_page import Notice, is_person, notice_response
from mediaserver.api.queries import page_limit, whole
from mediaserver.api.who import address, audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import reports
from mediaserver.people.per_hour import PerHour
from mediaserver.people.reports import Report

REPORTERS: Final = web.AppKey("reporters", PerHour)
PAGE_MAX: Final = 200
_NUMBER_MAX: Final = (1 << 53) - 1
_STATES: Final = {"open": True, "resolved": False}
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class NewReport:
    """Body of a report."""

    text: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """Body that resolves a report."""

    word: str


def routes() -> list[web.RouteDef]:
    """Return the routes of reports."""
    return [
        web.post("/{slug}/report", _add),
        web.post("/w/{token}/{slug}/report", _add),
        web.get("/api/v1/reports", _list),
        web.post("/api/v1/reports/{report}/resolve", _resolve),
    ]


def reporters() -> PerHour:
    """Return the count of who reported within the hour."""
    return PerHour(reports.PER_ADDRESS_MAX, reports.PER_HOUR_MAX)


async def _add(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    if request.content_type == _FORM:
        form = await request.post()
        given = form.get("text")
        text = given if isinstance(given, str) else ""
    else:
        text = (await request_records.read(request, NewReport)).text
    now_ms = shared.clock.now_ms()
    stream = (await shared.book.run(lambda book: book.streams.get(slug))).id
    if not request.app[REPORTERS].take(address(request), now_ms):
        detail = f"at most {reports.PER_ADDRESS_MAX} reports an hour are taken from one address"
        raise ApiError(429, "Too many reports", detail, {"Retry-After": "3600"})
    made = await shared.people.write(
        lambda _, connection: reports.add(connection, stream, text, now_ms)
    )
    if is_person(request):
        lines = ("The people who run this server read it. You need not do anything more.",)
        back = (f"/{slug}/", "Back to the stream")
        return notice_response(201, Notice("Thank you, it was reported", lines, link=back))
    return web.json_response({"report": made.id}, status=HTTPStatus.CREATED)


async def _list(request: web.Request) -> web.Response:
    shared, limit = context.of(request), page_limit(request, PAGE_MAX)
    given, state = request.query.get("before"), request.query.get("state")
    before = None if given is None else whole(given, "before", _NUMBER_MAX)
    if state is not None and state not in _STATES:
        raise ApiError(422, "Invalid query", f"state: {state[:20]} is not open or resolved")
    is_open = None if state is None else _STATES[state]
    slug, stream = request.query.get("stream"), None
    if slug is not None:
        stream = (await shared.book.run(lambda book: book.streams.get(slug))).id
    found = await shared.people.read(
        lambda connection: reports.page(
            connection, limit + 1, before, stream=stream, is_open=is_open
        )
    )
    slugs = await shared.book.run(lambda book: book.streams.slugs({item.stream for item in found}))
    return web.json_response(
        {
            "reports": [_json(item, slugs) for item in found[:limit]],
            "next_before": found[limit - 1].number if len(found) > limit else None,
        }
    )


async def _resolve(request: web.Request) -> web.Response:
    shared, report = context.of(request), request.match_info["report"]
    wanted = await request_records.read(request, Resolution)
    now_ms, who = shared.clock.now_ms(), principal(request)
    made = await audited(
        request,
        "report.resolve",
        f"report:{report}",
        lambda _, connection: reports.resolve(connection, report, wanted.word, who.actor, now_ms),
        after=lambda made: {"stream": str(made.stream)},
    )
    slugs = await shared.book.run(lambda book: book.streams.slugs({made.stream}))
    return web.json_response(_json(made, slugs))


def _json(report: Report, slugs: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        "report": report.id,
        "stream": slugs.get(report.stream),
        "text": report.text,
        "made_ms": report.made_ms,
        "word": report.word or None,
        "resolved_by": report.resolved_by or None,
        "resolved_ms": report.resolved_ms,
    }
