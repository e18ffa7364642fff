"""``PATCH /api/v1/streams/{slug}``: title, address, open, archived, and who may see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.streams.guests import visibility
from mediaserver.api.streams.policy_room import hold_price_room, hold_title_room
from mediaserver.api.streams.streams import answer, cap_json
from mediaserver.api.streams.uninvited import change, tell_store
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, stream_archive
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.book.records import SessionRecord, StreamRecord
from metering.model.price import PREVIEW_MAX_S
from metering.units import Planck

ARCHIVED: Final = "archived"
"""Why a session ended, in its row, its log line and its meter; why a publisher is refused."""


@dataclass(frozen=True, slots=True)
class StreamChange:
    """Body of a change of a stream: what is left out stays."""

    title: str | None = None
    is_enabled: bool | None = None
    is_archived: bool | None = None
    slug: str | None = None
    visibility: str | None = None
    preview_s: int | None = field(default=None, metadata={"most": PREVIEW_MAX_S})
    show_cap_planck: Planck | None = None


def routes() -> list[web.RouteDef]:
    """Return the route."""
    return [web.patch("/api/v1/streams/{slug}", _change)]


async def _change(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    wanted = await request_records.read(request, StreamChange)
    record = await shared.book.run(lambda book: book.streams.get(slug))
    _hold_off_air(shared, record, wanted)

    if wanted.show_cap_planck is not None:
        await hold_price_room(shared, record)
    if wanted.title is not None:
        await hold_title_room(shared, record, wanted.title)
    seen_by = None if wanted.visibility is None else visibility(wanted.visibility)
    # Of a show from here on no second can be claimed before every process knows.
    newest_tick = await shared.newest_tick(record.id)
    earliest = newest_tick + shared.settings.metering.policy_lost_s + 1
    now_ms = shared.clock.now_ms()
    ended: list[SessionRecord] = []

    def work(book: Book, connection: Connection) -> dict[str, Any]:
        made = book.streams.get(slug)
        if seen_by is not None:
            guests.set_visibility(connection, made.id, seen_by)
        if wanted.title is not None:
            book.streams.set_title(slug, wanted.title)
        if wanted.is_archived is not None:
            ended.extend(_archive(book, connection, made, now_ms, wanted=wanted.is_archived))
        if wanted.is_enabled is not None:
            _open(book, connection, made, is_enabled=wanted.is_enabled)
        if wanted.preview_s is not None:
            book.streams.set_preview(slug, wanted.preview_s)
        if wanted.show_cap_planck is not None:
            book.show_caps.put(made.id, wanted.show_cap_planck, earliest)
        if wanted.slug not in (None, slug):
            stream_archive.rename(connection, made.id, slug, str(wanted.slug), now_ms)
            book.streams.rename(slug, str(wanted.slug))
        return _audit_json(book, connection, str(wanted.slug or slug))

    made = await change(
        request,
        "stream.change",
        record.id,
        work,
        before=lambda book, connection: _audit_json(book, connection, slug),
        after=lambda made: made | ({} if wanted.title is None else {"has_new_title": True}),
    )
    await tell_store(shared, ended, ARCHIVED)
    changed = await shared.book.run(lambda book: book.streams.get(made["slug"]))
    return web.json_response(await answer(shared, changed))


def _hold_off_air(shared: Context, record: StreamRecord, wanted: StreamChange) -> None:
    """Hold that what would leave a publisher or its viewers behind is done between shows.

    Raises:
        ApiError: 409.
    """
    if shared.health(record.id)["state"] == "offline":
        return
    if wanted.slug not in (None, record.slug):
        raise ApiError(
            409,
            "On air",
            f"{record.slug} is on air, and its viewers are at its address: end it first",
        )
    if wanted.is_archived:
        raise ApiError(409, "On air", f"{record.slug} is on air: end it first, then archive it")


def _archive(
    book: Book, connection: Connection, stream: StreamRecord, now_ms: int, *, wanted: bool
) -> list[SessionRecord]:
    """Archive a stream, or take it back as open as it was; return the sessions that ended."""
    if not wanted:
        was_enabled = stream_archive.restore(connection, stream.id)
        if was_enabled is not None:
            book.streams.enable(stream.slug, is_enabled=was_enabled)
        return []
    if not stream_archive.archive(connection, stream.id, now_ms, was_enabled=stream.is_enabled):
        return []
    book.streams.enable(stream.slug, is_enabled=False)
    # Edges learn by this that nobody plays any more; at the origin the closed stream says it.
    playing = book.sessions.of_stream(stream.id, now_ms)
    book.sessions.end_all(playing, ARCHIVED, now_ms)
    return playing


def _open(book: Book, connection: Connection, stream: StreamRecord, *, is_enabled: bool) -> None:
    """Open a stream to viewers, or close it.

    Raises:
        ApiError: 409: it is archived.
    """
    if is_enabled and stream_archive.since(connection, [stream.id]):
        raise ApiError(
            409, "Archived", f"{stream.slug} is archived: take it back first (is_archived: false)"
        )
    book.streams.enable(stream.slug, is_enabled=is_enabled)


def _audit_json(book: Book, connection: Connection, slug: str) -> dict[str, Any]:
    """Return what of a stream may be changed, as the audit log keeps it: for good, so no title."""
    record = book.streams.get(slug)
    return {
        "slug": record.slug,
        "is_enabled": record.is_enabled,
        "is_archived": bool(stream_archive.since(connection, [record.id])),
        "preview_s": record.preview_s,
        "show_cap": None if not record.caps else cap_json(record.caps[-1]),
        "visibility": guests.visibility_of(connection, record.id),
    }
