"""``/api/v1/sessions`` and ``/api/v1/streams/{slug}/sessions``: players, by stream, viewer, edge.

Pages, the newest first. Staff sees all; a stream's creator sees, and ends, those of the stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.queries import aged_cursor, page_limit
from mediaserver.api.streams.audience_count import AudienceCount
from mediaserver.api.streams.viewer_names import viewer_of
from mediaserver.api.viewers import sessions
from mediaserver.api.who import audited, principal
from mediaserver.people.records import STAFF
from metering.book.book import Book
from metering.book.records import SessionRecord
from metering.errors import UnknownNameError
from metering.units import SessionId, account_text, session_text

PAGE_MAX: Final = 500
CREATOR: Final = "creator"
"""Why a session ended that the stream's creator ended."""


def routes() -> list[web.RouteDef]:
    """Return the routes of players."""
    return [
        web.get("/api/v1/sessions", _list),
        web.get("/api/v1/streams/{slug}/sessions", _list),
        web.delete("/api/v1/streams/{slug}/sessions/{session}", _end),
    ]


async def _list(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info.get("slug") or request.query.get("stream")
    viewer, edge = request.query.get("viewer"), request.query.get("edge")
    limit, before = page_limit(request, PAGE_MAX), aged_cursor(request)
    live = await shared.audience()
    now_ms, who = shared.clock.now_ms(), principal(request)

    def read(book: Book) -> tuple[list[SessionRecord], dict[UUID, str]]:
        stream = None if slug is None else book.streams.get(slug).id
        account = None if viewer is None else viewer_of(book, who, stream, viewer).account
        only = None if edge is None else _at_edge(live, edge)
        found = book.sessions.page(limit + 1, before, stream=stream, account=account, only=only)
        slugs = book.streams.slugs({record.stream for record in found})
        return found, slugs

    found, slugs = await shared.book.run(read)
    edges = {player.session: player.edge for those in live.players.values() for player in those}
    last = found[limit - 1] if len(found) > limit else None
    return web.json_response(
        {
            "sessions": [_shown(record, slugs, edges, now_ms) for record in found[:limit]],
            "next_before": None
            if last is None
            else f"{last.created_ms}-{session_text(last.session)}",
        }
    )


def _at_edge(live: AudienceCount, edge: str) -> set[SessionId]:
    """Return who plays through an edge; with nothing, who plays from the origin itself."""
    return {
        player.session for those in live.players.values() for player in those if player.edge == edge
    }


async def _end(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug, session = request.match_info["slug"], sessions.number(request.match_info["session"])

    def find(book: Book) -> SessionRecord:
        stream, record = book.streams.get(slug), book.sessions.get(session)
        if record.stream != stream.id:
            raise UnknownNameError(f"{slug} has no session {session_text(session)}")
        return record

    record = await shared.book.run(find)
    by = principal(request)
    is_staff = by.person is None or bool(by.roles & STAFF)

    async def write(work: sessions.Ending) -> sessions.Ended:
        return await audited(
            request,
            "viewer.session.end",
            f"viewer:{account_text(record.account)}",
            lambda book, _: work(book),
            after=lambda ended: {"session": session_text(session), "ended": ended[0]},
            is_change=lambda ended: ended[0] > 0,
        )

    reason = sessions.OPERATOR if is_staff else CREATOR
    return await sessions.end(shared, record.account, reason, session_text(session), write)


def _shown(
    record: SessionRecord, slugs: Mapping[UUID, str], edges: Mapping[SessionId, str], now_ms: int
) -> dict[str, Any]:
    return {
        **sessions.shown(record, slugs, now_ms),
        "viewer": account_text(record.account),
        "is_playing": record.session in edges,
        "edge": edges.get(record.session) or None,
    }
