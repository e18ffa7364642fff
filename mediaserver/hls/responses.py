"""What is sent for bytes that exist, for playlists and for refusals, by RFC 9110.

Given what there is and the headers it was asked with, makes the `Response`; whether there is
something, and who may have it, was decided by `serve`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from mediaserver.clock import Clock
from mediaserver.hls.cache_policy import NO_STORE, PREFLIGHT_HEADERS, Kind, cache_control
from mediaserver.hls.http_semantics import (
    Chunk,
    accepts_gzip,
    byte_range,
    cut,
    head,
    matches,
)
from mediaserver.hls.response import Dates, Response
from mediaserver.hls.show_view import MediaBytes, ShowView, Text
from mediaserver.http.problem import CONTENT_TYPE, media_problem
from metering.units import AccountId, Admission, top_up_address

SESSION_HEADER: Final = "X-Vilokanam-Session"
TICKS_HEADER: Final = "X-Vilokanam-Ticks"
"""Which seconds a part or segment carries, as in its address: the truth when a part was cut short,
as its address was promised before."""
_PLAYLIST_TYPE: Final = "application/vnd.apple.mpegurl"
_DETAILS: Final = {
    "token": "This stream is paid for by the second: open its page to get a token.",
    "malformed": "The token is damaged: open the page again.",
    "key": "The token was signed with a key that is no longer used: open the page again.",
    "signature": "The token was not signed by this server.",
    "expired": "The token is no longer valid: open the page again.",
    "stream": "The token is for another stream.",
    "place": "This stream is not shown where you are.",
    "not_found": "There is nothing at this address.",
    "closed": "The operator has closed this stream.",
    "starting": "The server is starting: try again in a moment.",
    "left": "The client left.",
    "busy": "Too many wait already: try again in a moment.",
    "late": "Nothing new has come in time: try again in a moment.",
    "purse": "The balance is used up.",
    "limit": "A spending limit is reached.",
    "session": "This session was ended, perhaps by another player of yours.",
    "pace": "This session fetches faster than one player plays.",
    "too_old": "This part of the stream can no longer be bought.",
    "future": "The server's clock has yet to come to this second: try again in a moment.",
    "store": "Payments cannot be counted just now: try again in a moment.",
}


class RefusedError(Exception):
    """Not this request, or not now.

    Attributes:
        status: HTTP status.
        reason: A word for programs.
        kind: Which line of the cache table.
        detail: A sentence for people, when the reason alone does not say it.
        admission: What the gate returned.
        account: Whose.
        show: Whose target duration counts for caches.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        kind: Kind = Kind.OTHER,
        detail: str = "",
        admission: Admission | None = None,
        account: AccountId | None = None,
        show: ShowView | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.kind = kind
        self.detail = detail or _DETAILS[reason]
        self.admission = admission
        self.account = account
        self.show = show
        super().__init__(f"{status} {reason}")


class Responses:
    """Makes responses; `top_up_url` is where a viewer without balance is sent."""

    def __init__(self, clock: Clock, send_timeout_s: float) -> None:
        self.top_up_url = ""
        self._send_timeout_s = send_timeout_s
        self._dates = Dates(clock)

    def media(
        self,
        request: web.BaseRequest,
        show: ShowView,
        rendition: str,
        media: MediaBytes,
        kind: Kind,
    ) -> Response:
        """Return 200, 206, 304 or 416 for a segment, part or init."""
        asked, is_head = request.headers, request.method == "HEAD"
        if "If-None-Match" in asked and matches(asked["If-None-Match"], media.etag):
            kept = _lifetime(show, kind, 304)
            whole = head(304, (("ETag", media.etag), ("Cache-Control", kept), *_ticks(media)))
            return self._answer(304, whole, ())
        # RFC 9110, 14.2: Range means something for GET only.
        if "Range" in asked and not is_head:
            if_range, size = asked.get("If-Range", ""), media.size_bytes
            wanted = byte_range(asked["Range"], if_range, media.etag, size)
            if wanted is not None:
                return self._partial(media, wanted, _media_fields(show, rendition, media, kind))
        if not media.head:
            fields = _media_fields(show, rendition, media, kind)
            media.head = head(200, (*fields, ("Content-Length", str(media.size_bytes))))
        return self._answer(200, media.head, () if is_head else media.chunks)

    def text(self, request: web.BaseRequest, show: ShowView, text: Text, kind: Kind) -> Response:
        """Return 200 or 304 for a playlist, packed for those who take it so."""
        asked, is_head = request.headers, request.method == "HEAD"
        is_packed = accepts_gzip(asked.get("Accept-Encoding", ""))
        etag = text.packed_etag if is_packed else text.etag
        body = text.packed if is_packed else text.plain
        if "If-None-Match" in asked and matches(asked["If-None-Match"], etag):
            return self._answer(304, head(304, _text_fields(show, etag, kind)), ())
        built = text.heads.get((kind, is_packed))
        if built is None:
            fields = [("Content-Type", _PLAYLIST_TYPE), ("Content-Length", str(len(body)))]
            if is_packed:
                fields.append(("Content-Encoding", "gzip"))
            built = head(200, (*_text_fields(show, etag, kind), *fields))
            text.heads[kind, is_packed] = built
        return self._answer(200, built, () if is_head else (body,))

    def edge_verdict(self, status: int, session: str) -> Response:
        """Return the answer to an edge's question; it logs the session, never the token."""
        fields = [(SESSION_HEADER, session)] if session else []
        if status != 204:
            fields.append(("Content-Length", "0"))
        return self._answer(status, head(status, fields), ())

    def other_method(self, method: str) -> Response:
        """Return the answer to OPTIONS, or 405."""
        if method == "OPTIONS":
            return self._answer(204, head(204, PREFLIGHT_HEADERS), ())
        body = media_problem(405, "method", f"{method} has no meaning here.")
        return self._problem(405, body, NO_STORE, ("Allow", "GET, HEAD, OPTIONS"))

    def refusal(self, refused: RefusedError, *, is_head: bool, slug: str = "") -> Response:
        """Return the problem that a refusal is for the client.

        Args:
            slug: The stream's, where there may be one to join.
        """
        more: dict[str, object] = {}
        if refused.admission is not None and refused.account is not None:
            url = top_up_address(self.top_up_url, refused.account)
            more = {"seconds_left": refused.admission.seconds_left, "top_up_url": url}
        if slug and refused.status in (401, 402):
            more["join_url"] = f"/api/v1/streams/{slug}/join"
        body = media_problem(refused.status, refused.reason, refused.detail, **more)
        kept = NO_STORE
        if refused.show is not None:
            kept = _lifetime(refused.show, refused.kind, refused.status)
        fields = (("Retry-After", "1"),) if refused.status in (429, 503) else ()
        return self._problem(refused.status, body, kept, *fields, is_head=is_head)

    def _partial(
        self, media: MediaBytes, wanted: range, fields: Sequence[tuple[str, str]]
    ) -> Response:
        size = media.size_bytes
        if not wanted:
            body = media_problem(416, "range", f"The object has {size} bytes.")
            return self._problem(416, body, NO_STORE, ("Content-Range", f"bytes */{size}"))
        where = f"bytes {wanted.start}-{wanted.stop - 1}/{size}"
        length = str(len(wanted))
        whole = head(206, (*fields, ("Content-Range", where), ("Content-Length", length)))
        return self._answer(206, whole, cut(media.chunks, wanted))

    def _problem(
        self, status: int, body: bytes, kept: str, *fields: tuple[str, str], is_head: bool = False
    ) -> Response:
        whole = head(
            status,
            (
                ("Content-Type", CONTENT_TYPE),
                ("Content-Length", str(len(body))),
                ("Cache-Control", kept),
                *fields,
            ),
        )
        return self._answer(status, whole, () if is_head else (body,))

    def _answer(self, status: int, built: bytes, chunks: Sequence[Chunk]) -> Response:
        return Response(status, built, chunks, self._dates, self._send_timeout_s)


def _media_fields(
    show: ShowView, rendition: str, media: MediaBytes, kind: Kind
) -> tuple[tuple[str, str], ...]:
    return (
        ("Content-Type", "audio/mp4" if show.window.is_audio(rendition) else "video/mp4"),
        ("ETag", media.etag),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", _lifetime(show, kind, 200)),
        *_ticks(media),
    )


def _ticks(media: MediaBytes) -> tuple[tuple[str, str], ...]:
    return ((TICKS_HEADER, media.ticks),) if media.ticks else ()


def _text_fields(show: ShowView, etag: str, kind: Kind) -> tuple[tuple[str, str], ...]:
    return (
        ("ETag", etag),
        ("Cache-Control", _lifetime(show, kind, 200)),
        ("Vary", "Accept-Encoding"),
    )


def _lifetime(show: ShowView, kind: Kind, status: int) -> str:
    opened = show.window.opened
    return cache_control(
        kind, status, opened.target_duration_s, opened.window_ms, opened.part_target_ms
    )
