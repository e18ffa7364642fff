"""The fast path: request -> token -> wait -> bytes -> claim -> first byte.

Answers GET, HEAD and OPTIONS for everything a player fetches (docs/metering.md). A byte of priced
media leaves only after the gate admitted its ticks; a client that leaves while waiting claims
nothing; HEAD, 304, errors, playlists and init are free. Money is behind `Gate`, windows and bytes
are in the `LiveStore`.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from aiohttp import web

from mediaserver.clock import Clock
from mediaserver.errors import AddressError, CapacityError
from mediaserver.hls import playlist
from mediaserver.hls.addresses import (
    Address,
    Init,
    MediaObject,
    MediaPlaylist,
    Multivariant,
    PartAddress,
    Place,
    Segment,
    WatchPage,
    kind_of_type,
    parse,
)
from mediaserver.hls.audience import Audience
from mediaserver.hls.blocking_reload import Ready, Reject, decide
from mediaserver.hls.cache_policy import Kind
from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.places import Places
from mediaserver.hls.rendition_window import Presence
from mediaserver.hls.response import SEND_TIMEOUT_S, Response
from mediaserver.hls.responses import RefusedError, Responses
from mediaserver.hls.resumption import HELD_S, PLAIN_HELD_S
from mediaserver.hls.show_view import MediaBytes, ShowView, make_text
from mediaserver.hls.viewer_check import ViewerCheck, unknown
from mediaserver.http.edge_key import EDGE_HEADER, VIA_HEADER, has_edge_key
from mediaserver.playback_token import Grant
from metering.ports import Gate
from metering.units import Fetch, Medium, Run, StreamPolicy, Verdict, session_text

METHOD_HEADER: Final = "X-Original-Method"
"""What the edge's client asked with; HEAD claims nothing."""
CONDITIONS: Final = ("If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since")
ASK_YOURSELF: Final = 421
"""To an edge: this viewer's request is for the origin to answer (RFC 9110, 15.5.20)."""
BLOCKED_TARGETS: Final = 3
"""rfc8216bis, 6.2.5.2: who is blocked longer than three target durations gets a 503."""


class MediaHandler:
    """Answers for multivariant, media playlist, init, segment and part.

    `edge_key` is the secret of this operator's edges, empty when there are none; a client that
    takes longer than `send_timeout_s` to read one object is cut off.
    """

    def __init__(  # noqa: PLR0917 -- collaborators
        self,
        store: LiveStore,
        gate: Gate,
        clock: Clock,
        edge_key: bytes = b"",
        send_timeout_s: float = SEND_TIMEOUT_S,
        places: Places | None = None,
    ) -> None:
        self._answered: Counter[tuple[type[Place] | str, int]] = Counter()
        self.sent_bytes = 0
        self._waits = 0
        self.audience = Audience(clock.monotonic)
        self._store = store
        self._gate = gate
        self._clock = clock
        self.edge_key = edge_key
        self._responses = Responses(clock, send_timeout_s)
        self._viewers = ViewerCheck(gate, clock, places)

    def set_policy(self, policy: KnownPolicy) -> None:
        """Take over control's token keys, restrictions and top-up address."""
        if self._viewers.set_policy(policy):
            self._store.resumption.wake()
        self._responses.top_up_url = policy.rest.top_up_url

    @property
    def answers(self) -> dict[tuple[str, int], int]:
        """Answers by kind of place and status."""
        return {
            (kind if isinstance(kind, str) else kind_of_type(kind), status): count
            for (kind, status), count in self._answered.items()
        }

    async def handle(self, request: web.BaseRequest, parsed: Address) -> web.StreamResponse:
        """Return the answer to a request for media of ours; errors are answers too."""
        place = parsed.place
        try:
            if request.method not in ("GET", "HEAD"):
                answer = self._responses.other_method(request.method)
            else:
                answer = await self._get(request, parsed)
        except RefusedError as refused:
            answer = self._responses.refusal(
                refused, is_head=request.method == "HEAD", slug=place.slug
            )
        self._answered[type(place), answer.status] += 1
        self.sent_bytes += answer.size_bytes
        return answer

    async def authorize(self, request: web.BaseRequest, path: str) -> Response:
        """Answer an edge that asks whether `path` may be served: 204, or why not.

        It claims exactly what the viewer's own GET would, waiting for a hinted part first. What may
        turn out to be free (304, 416) is 421: if the two agreed only nearly always, an edge
        would send bytes that nobody claimed. It passes such a request on, and is answered here.
        """
        status, token = 403, ""
        if has_edge_key(request, EDGE_HEADER, self.edge_key):
            try:
                address = parse(path.partition("?")[0])
                token = address.token
                status = await self._authorize(request, address)
            except AddressError:
                status = 404
            except RefusedError as refused:
                status = refused.status
        self._answered["edge", status] += 1
        grant = self._viewers.known(token)
        return self._responses.edge_verdict(status, session_text(grant.session) if grant else "")

    async def _authorize(self, request: web.BaseRequest, address: Address) -> int:
        place = address.place
        self._viewers.check_sight(address, request)
        await self._await_show(place, HELD_S)
        policy = self._policy(place.slug)
        if not isinstance(place, Segment | PartAddress):
            is_free = isinstance(place, Multivariant | MediaPlaylist | Init | WatchPage)
            self._viewers.check_sight(address, request)
            return 204 if is_free else 404
        show, media, grant = await self._find(request, address, place, policy, is_free=False)
        method = request.headers.get(METHOD_HEADER, "GET")
        if method == "HEAD":
            return 204
        if grant is None:
            return self._counted(request, address, policy, media)
        if method != "GET" or any(name in request.headers for name in CONDITIONS):
            return ASK_YOURSELF
        if "Range" in request.headers:
            answer = self._responses.media(request, show, place.rendition, media, Kind.MEDIA)
            if answer.status != 206:
                return ASK_YOURSELF
        await self._admit(policy, grant, media, place.show)
        return self._counted(request, address, policy, media)

    async def _get(self, request: web.BaseRequest, address: Address) -> Response:
        place = address.place
        is_fill = has_edge_key(request, EDGE_HEADER, self.edge_key)
        if not is_fill:
            self._viewers.check_sight(address, request)
        waits = self._waits
        if not (self._viewers.keys and self._store.resumption.is_over):
            is_list = isinstance(place, MediaPlaylist | Multivariant)
            is_plain = is_list and "?" not in request.raw_path
            await self._await_show(place, PLAIN_HELD_S if is_plain else HELD_S)
        policy = self._policy(place.slug)
        match place:
            case Segment() | PartAddress():
                return await self._media(request, address, place, policy, is_fill=is_fill)
            case MediaPlaylist():
                answer = await self._media_playlist(request, place)
            case Multivariant():
                answer = await self._multivariant(request, address, policy)
            case Init():
                show = self._show(place.slug, place.show)
                init = show.inits.get(place)
                if init is None:
                    raise RefusedError(404, "not_found")
                answer = self._responses.media(request, show, place.rendition, init, Kind.INIT)
            case _:
                raise RefusedError(404, "not_found")
        if not is_fill and waits != self._waits:
            self._viewers.check_sight(address, request)  # It may have changed while this waited.
        return answer

    async def _media(
        self,
        request: web.BaseRequest,
        address: Address,
        place: MediaObject,
        policy: StreamPolicy,
        *,
        is_fill: bool,
    ) -> Response:
        show, media, grant = await self._find(request, address, place, policy, is_free=is_fill)
        answer = self._responses.media(request, show, place.rendition, media, Kind.MEDIA)
        if grant is not None and answer.status in (200, 206) and request.method == "GET":
            await self._admit(policy, grant, media, place.show)
        if not is_fill and request.method == "GET" and answer.status in (200, 206):
            self._counted(request, address, policy, media)
        return answer

    def _counted(
        self, request: web.BaseRequest, address: Address, policy: StreamPolicy, media: MediaBytes
    ) -> int:
        """Count who gets media, and may; not an edge that fetches for all who need no token."""
        grant = self._viewers.player(address.token, policy)
        is_via = has_edge_key(request, VIA_HEADER, self.edge_key)
        if grant is not None or not is_via or EDGE_HEADER in request.headers:
            edge = (request.remote or "") if is_via else ""
            self.audience.watched(policy.stream, media.duration_ms, grant, edge)
        return 204

    async def _find(
        self,
        request: web.BaseRequest,
        address: Address,
        place: MediaObject,
        policy: StreamPolicy,
        *,
        is_free: bool,
    ) -> tuple[ShowView, MediaBytes, Grant | None]:
        """Return show, object and who pays; the token counts on arrival and on waking."""
        run = Run(place.first_tick, place.tick_count)
        grant = None if is_free else self._viewers.payer(address.token, policy, run)
        show = self._show(place.slug, place.show)
        media = show.media.get(place)
        if media is None:
            media = await self._await_media(show, place)
            if request.transport is None:
                raise RefusedError(408, "left")
            policy = self._policy(place.slug)
            if not is_free:
                self._viewers.check_sight(address, request)
            grant = None if is_free else self._viewers.payer(address.token, policy, run)
        return show, media, grant

    async def _await_media(self, show: ShowView, place: MediaObject) -> MediaBytes:
        """Wait for a part that is hinted; everything else is not there."""
        if not show.window.plans and not show.window.is_ended:
            raise RefusedError(503, "starting")
        deadline_s = self._deadline(show)
        part = place.part if isinstance(place, PartAddress) else None
        while (media := show.media.get(place)) is None:
            presence = show.window.presence(place.rendition, place.msn, part)
            if presence is Presence.GONE:
                raise RefusedError(404, "not_found", kind=Kind.GONE, show=show)
            slot = show.window.slot(place.msn, part) if part is not None else None
            asked = (place.first_tick, place.tick_count)
            if presence is not Presence.PLANNED or not slot:
                raise RefusedError(404, "not_found")
            if (slot.first_tick, slot.tick_count) != asked:
                raise RefusedError(404, "not_found")
            await self._wait(show, place.rendition, deadline_s)
        return media

    async def _admit(
        self, policy: StreamPolicy, grant: Grant | None, media: MediaBytes, show: int
    ) -> None:
        if grant is None or media.run is None or not media.run.count:
            return
        fetch = Fetch(
            grant.account,
            grant.session,
            policy.stream,
            media.run,
            media.duration_ms,
            # Video carries its sound, so one bucket is for all: sound alone is no second one.
            Medium.VIDEO,
            show,
        )
        admission = self._gate.admit_now(fetch) or await self._gate.admit(fetch)
        verdict = admission.verdict
        if verdict is not Verdict.GRANTED:
            raise RefusedError(
                verdict.status, verdict.value, admission=admission, account=grant.account
            )

    async def _media_playlist(self, request: web.BaseRequest, place: MediaPlaylist) -> Response:
        show = self._show(place.slug, place.show)
        name, query = place.rendition, request.raw_path.partition("?")[2]
        deadline_s = 0.0
        while not show.window.renditions and not show.window.is_ended:
            # It goes on after a restart, and which renditions there are is yet to be said.
            deadline_s = deadline_s or self._deadline(show)
            await self._wait(show, "", deadline_s)
        if name not in show.window.tracks and show.window.rendition(name) is None:
            raise RefusedError(404, "not_found")
        while True:
            edge, target_ms = show.reach(name)
            if edge is not None:
                decision = decide(query, edge, target_ms)
                # Parts alone are "no segments" to hls.js and FFmpeg, and the end of some.
                is_whole = edge.is_show_ended or show.window.has_segment(name)
                if isinstance(decision, Ready) and is_whole:
                    break
                if isinstance(decision, Reject):
                    raise RefusedError(400, "directive", detail=decision.reason)
            elif show.window.is_ended:
                raise RefusedError(404, "not_found")
            deadline_s = deadline_s or self._deadline(show)
            await self._wait(show, name, deadline_s)
        key = (name, decision.is_delta)
        text = show.texts.get(key)
        if text is None or text.source is not show.window:
            written = playlist.media(show.window, name, is_delta=decision.is_delta)
            text = show.texts[key] = make_text(show.window, written)
        kind = Kind.BLOCKING_PLAYLIST if decision.is_blocking else Kind.PLAYLIST
        kind = Kind.ENDED_PLAYLIST if edge.is_show_ended else kind
        kind = kind if decision.is_shared else Kind.OTHER
        return self._responses.text(request, show, text, kind)

    async def _multivariant(
        self, request: web.BaseRequest, address: Address, policy: StreamPolicy
    ) -> Response:
        slug = policy.slug
        show = self._store.current(slug)
        if show is None:
            raise self._not_live(address, policy)
        deadline_s = 0.0
        while not show.window.has_started:
            if show.window.is_ended:
                raise self._not_live(address, policy)
            deadline_s = deadline_s or self._deadline(show)
            await self._wait(show, "", deadline_s)
            show = self._store.current(slug) or show
        text = show.texts.get(("", False))
        if text is None or text.source is not show.window:
            written = playlist.multivariant(show.window)
            if text is None or text.plain != written.encode():
                text = show.texts["", False] = make_text(show.window, written)
            text.source = show.window
        return self._responses.text(request, show, text, Kind.MULTIVARIANT)

    def _not_live(self, address: Address, policy: StreamPolicy) -> RefusedError:
        """Return why there is no playlist; raises what is wrong with the link, where one counts."""
        if address.token:
            self._viewers.payer(address.token, policy, Run(self._clock.now_ms() // 1000, 1))
        detail = "The stream is not live now: ask again when it has begun."
        return RefusedError(404, "not_found", detail=detail)

    async def _await_show(self, place: Place, held_s: float) -> None:
        """Hold a question while we have just begun and its show may go on."""
        if self._viewers.keys and self._store.resumption.is_over:
            return
        self._waits += 1
        deadline_s = self._clock.monotonic() + held_s
        while self._is_awaited(place):
            try:
                if not await self._store.wait_for_show(deadline_s):
                    raise RefusedError(503, "starting")
            except CapacityError as error:
                raise RefusedError(503, "busy") from error

    def _is_awaited(self, place: Place) -> bool:
        policy = self._gate.policy(place.slug)
        if policy is None:
            return not self._viewers.keys  # Control has yet to name the streams.
        show = None if isinstance(place, Multivariant) else getattr(place, "show", None)
        return self._store.resumption.awaits(policy.stream, show)

    def _policy(self, slug: str) -> StreamPolicy:
        policy = self._gate.policy(slug)
        if policy is None and self._store.current(slug) is not None:
            # A worker connected before control: the price is not known yet.
            raise RefusedError(503, "starting")
        if policy is None:
            raise unknown(slug)
        if not policy.is_enabled:
            raise RefusedError(404, "closed")
        return policy

    def _show(self, slug: str, number: int) -> ShowView:
        show = self._store.show(slug, number)
        if show is not None:
            return show
        current = self._store.current(slug)
        if current is not None and number < current.window.opened.show:
            raise RefusedError(404, "not_found", kind=Kind.GONE, show=current)
        raise RefusedError(404, "not_found")

    def _deadline(self, show: ShowView) -> float:
        blocked_max_s = BLOCKED_TARGETS * show.window.opened.target_duration_s
        return self._clock.monotonic() + blocked_max_s

    async def _wait(self, show: ShowView, rendition: str, deadline_s: float) -> None:
        self._waits += 1
        try:
            if not await self._store.wait(show, rendition, deadline_s):
                raise RefusedError(503, "late")
        except CapacityError as error:
            raise RefusedError(503, "busy") from error
