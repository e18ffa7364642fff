"""Bars: an account kept from a stream by its creator or staff, from the server by staff.

A bar, its entry in the audit log and the ends of the sessions that run are one transaction; the
store and the HTTP processes learn of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.queries import page_limit, whole
from mediaserver.api.streams.uninvited import tell_store
from mediaserver.api.streams.viewer_names import viewer_of
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import bars
from mediaserver.people.bars import Bar
from mediaserver.people.records import Principal
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.book.records import SessionRecord
from metering.units import AccountId, account_text

PAGE_MAX: Final = 500
BARRED: Final = "barred"
"""Why a session ended, and what a refusal says."""
_NUMBER_MAX: Final = (1 << 53) - 1


@dataclass(frozen=True, slots=True)
class NewBar:
    """Body of a bar; without `until_ms` it holds until it is taken back."""

    viewer: str
    reason: str
    until_ms: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of bars."""
    made = []
    for place in ("/api/v1/bars", "/api/v1/streams/{slug}/bars"):
        made += [
            web.get(place, _list),
            web.post(place, _add),
            web.delete(f"{place}/{{bar}}", _end),
        ]
    return made


async def hold_unbarred(shared: Context, account: AccountId, stream: UUID) -> None:
    """Hold that an account is not barred from a stream.

    Raises:
        ApiError: 403 ``barred``, with until when and why.
    """
    now_ms = shared.clock.now_ms()
    await shared.people.read(lambda connection: check_unbarred(connection, account, stream, now_ms))


def check_unbarred(connection: Connection, account: AccountId, stream: UUID, now_ms: int) -> None:
    """Hold it in the caller's transaction; as `hold_unbarred`."""
    bar = bars.held(connection, account, stream, now_ms)
    if bar is None:
        return
    place = "this server" if bar.stream is None else "this stream"
    until = ""
    if bar.until_ms is not None:
        until = f" until {datetime.fromtimestamp(bar.until_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    raise ApiError(
        403,
        "Barred",
        f"this account is barred from {place}{until}: {bar.reason}",
        reason=BARRED,
        until_ms=bar.until_ms,
    )


async def _list(request: web.Request) -> web.Response:
    shared, stream = context.of(request), await _stream(request)
    limit, given = page_limit(request, PAGE_MAX), request.query.get("before")
    before = None if given is None else whole(given, "before", _NUMBER_MAX)
    found = await shared.people.read(
        lambda connection: bars.page(connection, stream, limit + 1, before)
    )
    now_ms = shared.clock.now_ms()
    return web.json_response(
        {
            "bars": [_json(bar, now_ms) for bar in found[:limit]],
            "next_before": found[limit - 1].number if len(found) > limit else None,
        }
    )


async def _add(request: web.Request) -> web.Response:
    shared, stream = context.of(request), await _stream(request)
    wanted = await request_records.read(request, NewBar)
    now_ms, who = shared.clock.now_ms(), principal(request)

    def add(book: Book, connection: Connection) -> tuple[Bar, list[SessionRecord]]:
        account = viewer_of(book, who, stream, wanted.viewer).account
        _hold_rank(connection, who, bars.on(connection, account, stream, now_ms), 409)
        made = bars.add(
            connection,
            account,
            stream,
            wanted.until_ms,
            wanted.reason,
            who.actor,
            now_ms,
            is_of_staff=_is_staff(who),
        )
        playing = book.sessions.not_over(account, stream, now_ms)
        book.sessions.end_all(playing, BARRED, now_ms)
        return made, playing

    made, ended = await audited(
        request,
        "viewer.bar",
        lambda pair: f"viewer:{account_text(pair[0].account)}",
        add,
        after=lambda pair: {
            "bar": pair[0].id,
            "stream": None if stream is None else str(stream),
            "until_ms": pair[0].until_ms,
            "ended": len(pair[1]),
        },
    )
    shared.changed()
    await tell_store(shared, ended, BARRED)
    return web.json_response(
        {**_json(made, now_ms), "ended": len(ended)}, status=HTTPStatus.CREATED
    )


async def _end(request: web.Request) -> web.Response:
    shared, stream = context.of(request), await _stream(request)
    bar, now_ms, who = request.match_info["bar"], shared.clock.now_ms(), principal(request)

    def end(_: Book, connection: Connection) -> tuple[Bar, bool]:
        known = bars.get(connection, bar, stream)
        was_open = known.ended_ms is None
        _hold_rank(connection, who, known if was_open else None, 403)
        return bars.end(connection, bar, stream, now_ms), was_open

    ended, _ = await audited(
        request,
        "viewer.unbar",
        lambda pair: f"viewer:{account_text(pair[0].account)}",
        end,
        after=lambda pair: {"bar": pair[0].id},
        is_change=lambda pair: pair[1],
    )
    shared.changed()
    return web.json_response(_json(ended, now_ms))


def _hold_rank(connection: Connection, who: Principal, bar: Bar | None, status: int) -> None:
    """Hold that who is no staff leaves staff's bars as they are.

    Raises:
        ApiError: Of that status, with who takes it back.
    """
    if bar is None or _is_staff(who) or not bars.is_of_staff(connection, bar):
        return
    until = "" if bar.until_ms is None else f" until {bar.until_ms} (Unix, ms)"
    raise ApiError(
        status,
        "Barred by staff",
        f"staff barred this account{until}, by bar {bar.id}: ask them to change it or take it back",
    )


def _is_staff(who: Principal) -> bool:
    return who.scopes is not None or bool(who.roles & bars.STAFF)


async def _stream(request: web.Request) -> UUID | None:
    """Return the stream that the address names; None: the whole server."""
    slug = request.match_info.get("slug")
    if slug is None:
        return None
    return (await context.of(request).book.run(lambda book: book.streams.get(slug))).id


def _json(bar: Bar, now_ms: int) -> dict[str, Any]:
    return {
        "bar": bar.id,
        "viewer": account_text(bar.account),
        "is_open": bar.is_open(now_ms),
        "until_ms": bar.until_ms,
        "reason": bar.reason,
        "made_by": bar.made_by,
        "made_ms": bar.made_ms,
        "ended_ms": bar.ended_ms,
    }
