"""WHIP endpoint and session resource (RFC 9725): POST, PATCH, DELETE, OPTIONS, GET.

One endpoint serves one stream in its worker. A session is its own URL: a new POST never waits for
the old session to be noticed dead, and takes the stream over as soon as it is connected; a late
DELETE of the old one ends nothing but itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.errors import CapacityError, OfferRejectedError
from mediaserver.http.client_address import bound_key
from mediaserver.http.problem_response import problem_response
from mediaserver.ingest import sdp, sdp_offer
from mediaserver.ingest.encoder import Encoder, encoder_of
from mediaserver.ingest.farewell import Farewells
from mediaserver.ingest.peer import Peer
from mediaserver.ingest.receiver import Media
from mediaserver.ingest.request_body import read_body
from mediaserver.ingest.session import EndReason, PatchKind, SessionState, judge_patch
from mediaserver.ingest.settings import IngestSettings
from mediaserver.ingest.takeovers import Takeovers
from mediaserver.media import AccessUnit, SenderReport, Track

OFFER_TYPE: Final = "application/sdp"
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
CORS_HEADERS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After, WWW-Authenticate"
    ),
}
"""On every answer: what a browser's script may read."""
PREFLIGHT_HEADERS: Final[Mapping[str, str]] = {
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, GET, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "86400",
}
"""On answers to OPTIONS, with CORS_HEADERS."""
ADVICE_S: Final = 300.0
"""A publisher that comes back by itself does not take away why it was ended."""
FAULT_LOG_S: Final = 1.0
"""A composer that fails for every frame is logged once a second, with the count."""

_TAKEN_OVER: Final = "Another publisher took the stream over with the same stream key"
_TITLES: Final = {
    400: "Not a usable body",
    401: "Unauthorized",
    404: "No such session",
    408: "The body did not arrive",
    412: "Another ICE session",
    413: "Body too large",
    415: "Wrong content type",
    422: "Offer not acceptable",
    428: "If-Match is needed",
    429: "Too many attempts",
    503: "Try again later",
}
_log = log.get("ingest")


class PublisherSink(Protocol):
    """Where media go. Called on the event loop, in order, and quickly."""

    def publisher_connected(
        self, session_id: str, tracks: frozenset[Track], user_agent: str
    ) -> None:
        """A publisher has the stream now; what comes next is its media."""

    def access_unit(self, unit: AccessUnit) -> None:
        """One frame of the present publisher."""

    def sender_report(self, report: SenderReport) -> None:
        """The present publisher's clocks."""

    def publisher_gone(self, session_id: str, reason: str) -> None:
        """The publisher is gone, by which `EndReason`.

        When it was replaced, `publisher_connected` of the next follows at once.
        """


async def endpoint_options(_request: web.BaseRequest) -> web.Response:
    """Answer OPTIONS of a WHIP endpoint; needs no worker and, for preflights, no key."""
    headers = {**CORS_HEADERS, **PREFLIGHT_HEADERS, "Accept-Post": OFFER_TYPE, "Allow": "POST"}
    return web.Response(headers=headers)


async def endpoint_get(_request: web.BaseRequest) -> web.Response:
    """Answer GET of a WHIP endpoint: 204 (RFC 9725, 4.1), whether or not someone publishes."""
    return web.Response(status=204, headers=CORS_HEADERS)


class WhipEndpoint:
    """The WHIP resources of one stream.

    The caller's address is in ``X-Forwarded-For``, where our own HTTP process put it.
    """

    def __init__(
        self,
        settings: IngestSettings,
        sink: PublisherSink,
        clock: Clock,
        worker: str,
        is_key: Callable[[str], bool],
        *,
        farewells: Farewells | None = None,
    ) -> None:
        self._settings = settings
        self._sink = sink
        self._clock = clock
        self._worker, self._is_key = worker, is_key
        self._farewells = farewells
        self._failure, self._failure_until_s = "", 0.0
        self._takeovers = Takeovers()
        self._user_agent = ""
        self._sessions: dict[str, Peer] = {}
        self._live: Peer | None = None
        self._replaced = ""  # secret of the last session that another publisher took over from
        self._count, self._is_closed = 0, False
        self._closing: set[asyncio.Task[None]] = set()
        self._faults, self._fault_logged_s = 0, float("-inf")

    async def post(self, request: web.Request) -> web.Response:
        """Answer an offer: 201 with the answer, or a problem that names what to change."""
        return await self._guarded(request, self._post)

    async def session(self, request: web.Request) -> web.Response:
        """Answer PATCH, DELETE, GET and OPTIONS of a session's URL."""
        if request.method == "OPTIONS":
            return web.Response(
                headers={
                    **CORS_HEADERS,
                    **PREFLIGHT_HEADERS,
                    "Accept-Patch": FRAGMENT_TYPE,
                    "Allow": "PATCH, DELETE, GET, OPTIONS",
                }
            )
        return await self._guarded(request, self._session)

    def request_keyframe(self) -> None:
        """Ask the present publisher for a keyframe, at most twice a second."""
        if self._live is not None:
            self._live.request_keyframe()

    def end_publisher(self, reason: EndReason, advice: str = "") -> None:
        """End the present publisher's session; `advice` is told for `ADVICE_S`."""
        if self._live is not None:
            self._failure, self._failure_until_s = advice, self._clock.monotonic() + ADVICE_S
            self._live.end(reason)

    def facts(self) -> dict[str, float]:
        """Return numbers of the present publisher, and how many sessions are connecting."""
        pending = sum(p.life.state is SessionState.CREATED for p in self._sessions.values())
        return {**(self._live.facts() if self._live else {}), "sessions_pending": pending}

    def advice(self) -> tuple[str, ...]:
        """Return plain words for the creator, most urgent first."""
        now_s = self._clock.monotonic()
        if self._live is not None and now_s >= self._failure_until_s:
            self._failure = ""
        live = self._live.advice() if self._live is not None else ()
        return tuple(filter(None, (self._failure, self._takeovers.advice(now_s), *live)))

    @property
    def encoder(self) -> Encoder:
        """Return what the newest publisher encodes with."""
        return encoder_of(self._user_agent)

    async def close(self, reason: str = EndReason.DRAINED.value) -> None:
        """End every session with BYE and close_notify; later POSTs get 503."""
        self._is_closed = True
        await asyncio.gather(*(p.close(EndReason(reason)) for p in [*self._sessions.values()]))
        if self._closing:
            await asyncio.wait(self._closing)
        if self._farewells is not None:
            await self._farewells.flushed()

    # What peers report (peer.PeerListener).

    def connected(self, publisher: Peer) -> None:
        """Hand the stream to a publisher whose handshake is done."""
        before = self._live
        if before is not None and before.number > publisher.number:
            publisher.end(EndReason.REPLACED)  # a slow old attempt: the newer one keeps the stream
            return
        if before is not None:
            self._takeovers.add(self._clock.monotonic(), before.last_media_s)
            self._replaced = before.secret
            before.end(EndReason.REPLACED)
        self._live = publisher
        self._user_agent = publisher.user_agent
        _log.info(
            "whip.session.opened",
            session_id=publisher.session_id,
            connect_ms=round(1000 * (self._clock.monotonic() - publisher.started_s)),
            user_agent=publisher.user_agent,
        )
        self._notify(
            self._sink.publisher_connected,
            publisher.session_id,
            publisher.offer.kinds,
            publisher.user_agent,
        )

    def media(self, publisher: Peer, item: Media) -> None:
        """Pass on what the present publisher sent."""
        if publisher is not self._live:
            return
        if isinstance(item, AccessUnit):
            self._notify(self._sink.access_unit, item)
        else:
            self._notify(self._sink.sender_report, item)

    def ended(self, publisher: Peer, reason: EndReason) -> None:
        """Forget a session; pass its end to the sink if it had the stream."""
        if publisher.cause:
            self._failure = f"The last publisher did not connect: {publisher.cause}."
        self._sessions.pop(publisher.secret, None)
        closing = asyncio.create_task(publisher.close(reason))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        _log.info(
            "whip.session.closed",
            session_id=publisher.session_id,
            reason=reason.value,
            cause=publisher.cause,
            **publisher.facts(),
            **publisher.faults(),
        )
        if publisher is self._live:
            self._live = None
            self._notify(self._sink.publisher_gone, publisher.session_id, reason.value)

    def _notify(self, method: Callable[..., None], *values: Any) -> None:
        try:
            method(*values)
        except Exception:  # noqa: BLE001 - a fault of the composer must not end the receive path
            self._faults += 1
            now = self._clock.monotonic()
            if now - self._fault_logged_s >= FAULT_LOG_S:
                self._fault_logged_s = now
                _log.exception("whip.sink.failed", method=str(method), faults=self._faults)

    # HTTP

    async def _guarded(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.Response]],
    ) -> web.Response:
        # RFC 9725, 4.7: the bearer guards the session's URL too.
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._is_key(token.strip()):
            return _refusal(
                401,
                "The stream key is missing or wrong; send it as a bearer token (OBS: Bearer Token)",
                {"WWW-Authenticate": 'Bearer realm="whip"'},
            )
        try:
            return await handler(request)
        except OfferRejectedError as error:
            _log.warning("whip.offer.rejected", status=error.status, reason=error.reason)
            accept = "Accept-Patch" if request.method == "PATCH" else "Accept-Post"
            kind = FRAGMENT_TYPE if request.method == "PATCH" else OFFER_TYPE
            taken = {accept: kind} if error.status == 415 else {}
            return _refusal(error.status, error.reason, taken)
        except CapacityError as error:
            _log.warning("whip.session.refused", cause=str(error))
            return _refusal(503, str(error), {"Retry-After": "2"})

    async def _post(self, request: web.Request) -> web.Response:
        offer = sdp_offer.parse_offer(
            await read_body(request, OFFER_TYPE, self._settings.offer_bytes_max, self._clock)
        )
        if self._is_closed:
            raise CapacityError("this worker is shutting down; post the offer again")
        # Who asks: bounds on pending sessions count by address and by key.
        address = request.headers.get("X-Forwarded-For", request.remote or "").rpartition(",")[2]
        key = request.headers["Authorization"].partition(" ")[2].strip()
        key_id = hashlib.sha256(key.encode()).hexdigest()
        refusal = self._make_room(address.strip(), key_id)
        if refusal is not None:
            return refusal
        # The session is listed before its sockets open, so that bounds count it.
        self._count += 1
        publisher = Peer(
            self._settings,
            self._clock,
            offer,
            self,
            number=self._count,
            user_agent=request.headers.get("User-Agent", "")[:256],
            address=address.strip(),
            key_id=key_id,
            farewells=self._farewells,
        )
        self._sessions[publisher.secret] = publisher
        try:
            answer = await publisher.answer()
        except BaseException:
            self._sessions.pop(publisher.secret, None)
            raise
        return web.Response(
            status=201,
            body=answer.encode(),
            headers={
                **CORS_HEADERS,
                "Content-Type": OFFER_TYPE,
                # From the root: older OBS versions take a relative one for a path at the root.
                "Location": f"/{request.match_info['slug']}/whip/{self._worker}.{publisher.secret}",
                "ETag": publisher.etag,
                "Accept-Patch": FRAGMENT_TYPE,
                "Cache-Control": "no-store",
            },
        )

    async def _session(self, request: web.Request) -> web.Response:
        secret = request.match_info["session"].rpartition(".")[2]
        publisher = self._sessions.get(secret)
        if publisher is None and secret == self._replaced:
            return _refusal(404, _TAKEN_OVER, {}, reason="replaced")
        if publisher is None:
            return _refusal(404, "This session has ended or never was; post a new offer", {})
        if request.method == "PATCH":
            return await self._patch(request, publisher)
        if request.method == "DELETE":
            await publisher.close(EndReason.DELETED)
            return web.Response(status=200, headers=CORS_HEADERS)  # OBS warns about 204
        return web.Response(status=204, headers=CORS_HEADERS)

    async def _patch(self, request: web.Request, publisher: Peer) -> web.Response:
        fragment = sdp.parse_fragment(
            await read_body(request, FRAGMENT_TYPE, self._settings.offer_bytes_max, self._clock)
        )
        kind = judge_patch(
            request.headers.get("If-Match"), publisher.etag, fragment.ufrag, publisher.remote_ufrag
        )
        if kind is PatchKind.TRICKLE:
            return web.Response(status=204, headers=CORS_HEADERS)  # no ETag: RFC 9725, 4.3.2
        if kind is PatchKind.RESTART:
            try:
                answer = await publisher.restart(fragment)
            except ConnectionError:
                return _refusal(404, "This session has ended; post a new offer", {})
            return web.Response(
                status=200,
                body=answer.encode(),
                headers={
                    **CORS_HEADERS,
                    "Content-Type": FRAGMENT_TYPE,
                    "ETag": publisher.etag,
                    "Cache-Control": "no-store",
                },
            )
        detail = (
            "Send If-Match with the session's ETag, or * for an ICE restart"
            if kind is PatchKind.PRECONDITION_REQUIRED
            else "If-Match names an ICE session that is no more; use the newest ETag"
        )
        return _refusal(kind.value, detail, {})

    def _make_room(self, address: str, key_id: str) -> web.Response | None:
        """Return a refusal when too many sessions are connecting already.

        An encoder that comes back is never kept out by its own earlier attempts, as OBS does not
        retry after a refusal: the oldest attempt of the same key and address makes room.
        """
        settings = self._settings
        pending = [p for p in self._sessions.values() if p.life.state is SessionState.CREATED]
        of_key = [p for p in pending if p.key_id == key_id]
        if len(of_key) >= settings.pending_sessions_per_key_max:
            own = [p for p in of_key if bound_key(p.address) == bound_key(address)]
            if not own:
                return self._too_many(429, f"{len(of_key)} sessions with this key are connecting")
            own[0].end(EndReason.REPLACED)
            pending.remove(own[0])
        key = bound_key(address)
        of_address = sum(bound_key(p.address) == key for p in pending)
        if of_address >= settings.pending_sessions_per_address_max:
            return self._too_many(503, f"{of_address} sessions from this address are connecting")
        return None

    def _too_many(self, status: int, detail: str) -> web.Response:
        wait_s = self._settings.connect_timeout_s
        return _refusal(status, f"{detail}; try again in {wait_s} s", {"Retry-After": str(wait_s)})


def _refusal(status: int, detail: str, headers: dict[str, str], **extra: Any) -> web.Response:
    headers = {**CORS_HEADERS, **headers, "Cache-Control": "no-store"}
    return problem_response(status, _TITLES[status], detail, headers, **extra)
