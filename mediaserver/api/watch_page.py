"""What a stream's address answers: the watch page, its data for programs, or what is wrong.

People are answered in HTML and programs in JSON, by ``Accept``: ``text/html`` is a person,
``application/json`` asks for what the page would be started with (web/sdk/types.ts, Boot), and all
else gets the page, or application/problem+json.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mediaserver.api.cors import Cors
from mediaserver.api.notice_page import BAD_LINKS, Notice, card
from mediaserver.api.page_refusals import PageRefusedError, is_program, refusal, starting
from mediaserver.api.pages import Pages
from mediaserver.clock import Clock
from mediaserver.errors import AccessDeniedError
from mediaserver.hls import addresses
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.places import Places
from mediaserver.hls.responses import RefusedError
from mediaserver.hls.restrictions import EVERYBODYS, HiddenError, TakenDownError
from mediaserver.ipc.messages import Policy
from mediaserver.playback_token import Grant, verify
from mediaserver.settings.records import Settings
from metering.model.amounts import amount_text
from metering.model.price import in_force, next_change
from metering.model.show_caps import cap_of
from metering.units import Planck, StreamPolicy, session_text, top_up_address

_STATES: Final = {
    "live": "Live now",
    "waiting": "Waiting for the creator",
    "restarting": "The server is restarting",
    "offline": "Not live",
}


@dataclass(frozen=True, slots=True)
class _Visit:
    """Who opens which stream. `fault` is why a token of theirs counts for nothing, or empty."""

    policy: StreamPolicy
    grant: Grant | None
    fault: str


class WatchPage:
    """Answers for the address of a stream.

    Args:
        find: Returns a stream by its public name, None when there is none.
        places: From where it may be watched; None: from everywhere.
        control: Returns what control sent last, None before it has been heard of.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        pages: Pages,
        store: LiveStore,
        clock: Clock,
        find: Callable[[str], StreamPolicy | None],
        control: Callable[[], Policy | None],
        places: Places | None = None,
    ) -> None:
        self.settings = settings
        self._pages = pages
        self._store = store
        self._clock = clock
        self._find = find
        self._control = control
        self._places = places
        self.restrictions = EVERYBODYS
        self._cors = Cors(settings.server.cors_origins)

    def answer(self, request: web.BaseRequest, address: addresses.Address) -> web.Response:
        """Return the page, its data, or what is wrong."""
        try:
            visit = self._visit(request, address)
        except PageRefusedError as refused:
            return refusal(request, refused)
        if is_program(request):
            headers = {"Cache-Control": "no-store", "Access-Control-Allow-Origin": "*"}
            boot = self.boot(visit)
            if self._cors.allows(request):
                boot["is_origin_listed"] = True
            return web.json_response(boot, headers={**headers, "Vary": "Accept, Origin"})
        if not self.settings.hls.is_page_enabled:
            title = "This server has no watch page"
            playlist = "Play the stream in a player of yours, by its address ending in index.m3u8."
            return refusal(request, PageRefusedError(404, "page", Notice(title, (playlist,))))
        return self._pages.page(self.boot(visit), self._card(visit.policy))

    def nothing(self, request: web.BaseRequest) -> web.Response:
        """Return the answer to an address that is none of ours."""
        path, title = request.path, "Nothing is here"
        if path.startswith("/w/"):
            token, _, rest = path.removeprefix("/w/").partition("/")
            path = f"/{rest}"
            if (fault := self._fault(token)) is not None:
                return refusal(request, fault)
        line = f"There is nothing at {path[:80]}: see that the address is whole."
        if path == "/":
            title = "No stream is named"
            line = "The address ends before the name of a stream: open the whole link."
        notice = Notice(title, (line,), is_link_good=path != request.path)
        refused = PageRefusedError(404, "not_found", notice)
        return refusal(request, refused)

    def may_report(
        self, request: web.BaseRequest, address: addresses.Address
    ) -> web.Response | None:
        """Return None where who asks may know of a stream, else what they are told."""
        policy = self._find(address.place.slug)
        if policy is None:
            return refusal(request, self._no_such_stream(address))
        try:
            self.restrictions.check(policy.stream, lambda: self.grant(address.token))
        except HiddenError:
            return refusal(request, self._no_such_stream(address))
        except AccessDeniedError:
            return None  # they know of it, and may say what is wrong with it
        return None

    def grant(self, token: str) -> Grant:
        """Return what a token grants now.

        Raises:
            AccessDeniedError: Nothing.
        """
        control = self._control()
        keys = control.token_keys if control else ()
        return verify(token, keys, self._clock.now_ms() // 1000)

    def viewer(self, address: addresses.Address) -> tuple[StreamPolicy, Grant]:
        """Return which stream somebody watches, and what their token grants.

        Raises:
            AccessDeniedError: It grants nothing here.
            HiddenError: There is no such stream, or not for them.
        """
        policy = self._find(address.place.slug)
        if policy is None:
            raise HiddenError
        self.restrictions.check(policy.stream, lambda: self.grant(address.token))
        grant = self.grant(address.token)
        if grant.stream != policy.stream:
            raise AccessDeniedError(403, "stream")
        return policy, grant

    def price_now(self, policy: StreamPolicy) -> int:
        """Return planck for a second that begins now."""
        version = in_force(policy.prices, self._clock.now_ms() // 1000)
        return version.planck_per_tick if version else 0

    def next_price(self, policy: StreamPolicy) -> dict[str, Any] | None:
        """Return the price to come and the Unix ms from which on it holds, or None."""
        version = next_change(policy.prices, self._clock.now_ms() // 1000)
        if version is None:
            return None
        return {
            "planck_per_s": str(version.planck_per_tick),
            "from_ms": version.from_tick * 1000,
        }

    def boot(self, visit: _Visit) -> dict[str, Any]:
        """Return what the watch page needs to start without asking (web/sdk/types.ts, Boot)."""
        policy, grant = visit.policy, visit.grant
        price = self.settings.price
        control = self._control()
        playlist = self._store.boot_playlist(policy.slug)
        return {
            "stream": policy.slug,
            "title": policy.title,
            "state": self._store.state(policy.slug),
            "multivariant": self._store.multivariant(policy.slug),
            "playlist": {"uri": playlist[0], "text": playlist[1]} if playlist else None,
            "price": self._price(policy),
            "session": session_text(grant.session) if grant else None,
            **({"expires_ms": grant.expires_s * 1000} if grant else {}),
            **({"link": visit.fault} if visit.fault else {}),
            "now_ms": self._clock.now_ms(),
            "top_up": {
                "open": control is not None and control.is_top_up_open,
                "url": top_up_address(price.top_up_url, grant.account if grant else None),
                "pay_in": self.settings.payments.has_provider,
            },
        }

    def _fault(self, token: str) -> PageRefusedError | None:
        """Return what is wrong with the link of an address that is none of ours, or None."""
        try:
            self.grant(token)
        except AccessDeniedError as error:
            if error.reason == "key" and self._control() is None:
                return starting()
            reason = "malformed" if error.reason == "token" else error.reason
            title, text = BAD_LINKS[reason]
            return PageRefusedError(404, reason, Notice(title, (text,)))
        return None

    def _visit(self, request: web.BaseRequest, address: addresses.Address) -> _Visit:
        slug = address.place.slug
        policy = self._find(slug)
        if self._control() is None or (policy is None and self._store.current(slug) is not None):
            # Control has not been heard of: which streams there are is not known.
            raise starting()
        if policy is None:
            raise self._no_such_stream(address)
        try:
            self.restrictions.check(policy.stream, lambda: self.grant(address.token))
        except HiddenError:
            raise self._no_such_stream(address) from None
        except TakenDownError as down:
            title = f"{policy.title} was taken down"
            raise PageRefusedError(
                down.status, down.reason, Notice(title, (down.detail,))
            ) from down
        except AccessDeniedError as denied:
            self._hold_place(request, policy)
            raise self._not_public(policy, denied.reason) from denied
        self._hold_place(request, policy)
        if not policy.is_enabled:
            line = "The operator of this server has closed it. You are billed nothing."
            raise PageRefusedError(404, "closed", Notice(f"{policy.title} is closed", (line,)))
        grant, fault = self._known(address.token, policy)
        if grant is None and self.price_now(policy):
            raise self._entry(policy) if fault == "token" else self._bad_link(policy, fault)
        seen = policy if grant is None else policy.seen_by(grant.account)
        return _Visit(seen, grant, "" if fault == "token" else fault)

    def _hold_place(self, request: web.BaseRequest, policy: StreamPolicy) -> None:
        try:
            if self._places is not None:
                self._places.check(policy.stream, request)
        except RefusedError as refused:
            if refused.status != 403:
                raise starting() from refused
            notice = Notice(f"{policy.title} is not shown here", (refused.detail,))
            raise PageRefusedError(403, refused.reason, notice) from refused

    def _no_such_stream(self, address: addresses.Address) -> PageRefusedError:
        """Return what is told of a stream that is not there, and of one that is not for them."""
        slug, join_script = address.place.slug, self._join_script()
        lines = [f"There is no stream at /{slug}/ here: see that the address is spelled right."]
        if join_script:
            lines.append("Or it is by invitation: then you need a link, or its password.")
        notice = Notice(
            "No such stream",
            lines,
            join=(("stream", slug), ("is-hidden", "1")),
            join_script=join_script,
            # A tab that has a link of its own goes back to that, once.
            is_resumed=not address.token,
        )
        return PageRefusedError(404, "not_found", notice)

    def _join_script(self) -> str:
        return self._pages.join_script if self.settings.hls.is_page_enabled else ""

    def _not_public(self, policy: StreamPolicy, fault: str) -> PageRefusedError:
        """Return what is told of an unlisted stream to who has no token that counts."""
        if fault == "session":
            lines = ("The player that it opened was ended: nothing more is charged through it.",)
            again = (f"/{policy.slug}/#watch", "Come in again")
            return PageRefusedError(403, fault, Notice("This link has ended", lines, link=again))
        if fault != "token":
            return self._bad_link(policy, fault)
        return self._entry(policy)

    def _known(self, token: str, policy: StreamPolicy) -> tuple[Grant | None, str]:
        """Return what a token grants on this stream, or None and why nothing."""
        try:
            grant = self.grant(token)
        except AccessDeniedError as error:
            return None, error.reason
        return (grant, "") if grant.stream == policy.stream else (None, "stream")

    def _entry(self, policy: StreamPolicy) -> PageRefusedError:
        """Return what a newcomer is told of a priced stream: what it is, its price, the way in."""
        way, price = self._way_in(policy), self.settings.price
        join_script = self._join_script()
        lines = ["You pay for what you watch, second by second, from a balance of your own."]
        if not self.price_now(policy):
            lines = ["It is free to watch, and not for everybody: say who you are first."]
        if way or join_script:
            lines.append("If you have a link of your own already, open that: it holds your entry.")
        else:
            lines.append("To watch, open your own link. Ask for one where you found this address.")
        notice = Notice(
            title=policy.title,
            lines=lines,
            state=_STATES[self._store.state(policy.slug)],
            price=self._price_text(policy) if self.price_now(policy) else "",
            link=(way, "How to get in") if way else None,
            card=self._card(policy),
            join=(
                ("stream", policy.slug),
                ("price", str(self.price_now(policy))),
                ("symbol", price.asset_symbol),
                ("decimals", str(price.asset_decimals)),
            ),
            join_script=join_script,
            is_resumed=True,
            report=policy.slug,
        )
        return PageRefusedError(
            401,
            "token",
            notice,
            stream=policy.slug,
            name=policy.title,
            state=self._store.state(policy.slug),
            price=self._price(policy),
            entry_url=way,
            join_url=join_address(policy.slug),
        )

    def _bad_link(self, policy: StreamPolicy, fault: str) -> PageRefusedError:
        title, text = BAD_LINKS[fault]
        way = self._way_in(policy)
        link = (way, "Get a new link") if way else None
        notice = Notice(title, (text, "You were billed nothing for this."), link=link)
        return PageRefusedError(403, fault, notice, entry_url=way)

    def _way_in(self, policy: StreamPolicy) -> str:
        """Return where a newcomer gets a link of their own; empty when the operator names none."""
        price = self.settings.price
        entry = price.entry_url.replace("{stream}", policy.slug)
        return entry or top_up_address(price.top_up_url, None)

    def _price(self, policy: StreamPolicy) -> dict[str, Any]:
        price = self.settings.price
        coming = self.next_price(policy)
        return {
            "planck_per_s": str(self.price_now(policy)),
            "symbol": price.asset_symbol,
            "decimals": price.asset_decimals,
            **({"next": coming} if coming else {}),
            **({"preview_s": policy.preview_s} if policy.preview_s else {}),
            **({"show_cap": str(cap)} if (cap := self._show_cap(policy)) else {}),
        }

    def _price_text(self, policy: StreamPolicy) -> str:
        planck = self.price_now(policy)
        second, minute, hour = (
            amount_text(planck * seconds, self.settings.asset) for seconds in (1, 60, 3600)
        )
        cost = f"{second} a second: {minute} a minute, {hour} an hour"
        if cap := self._show_cap(policy):
            cost += f", and never more than {amount_text(cap, self.settings.asset)} for a show"
        free_s = policy.preview_s
        return f"Free for the first {free_s} seconds, then {cost}" if free_s else cost

    def _show_cap(self, policy: StreamPolicy) -> Planck:
        """Return what a show costs at most, the one on air or one that begins now; 0: no cap."""
        show = self._store.show_number(policy.slug) or self._clock.now_ms() // 1000
        cap = cap_of(policy.caps, show) if policy.caps else None
        return Planck(0) if cap is None else cap.planck

    def _card(self, policy: StreamPolicy) -> str:
        """Return what a shared address of the stream is previewed by."""
        cost = self._price_text(policy) if self.price_now(policy) else "Free to watch"
        state = _STATES[self._store.state(policy.slug)]
        url = f"{self.settings.public_url}/{policy.slug}/"
        return card(policy.title, f"{state}. {cost}.", url)


def join_address(slug: str) -> str:
    """Return where who is signed in mints a link of a stream for themselves."""
    return f"/api/v1/streams/{slug}/join"
