"""Rules of place: from which countries, networks and pages a stream, or any, may be watched.

They are held when somebody asks for a token of their own and each time that it is renewed; HTTP
processes hold what goes by address at each request, so that a change counts for who plays already.
Those on a page that may not show it any more are ended with the change, in one transaction.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.cookies import own_origin
from mediaserver.api.streams.uninvited import tell_store
from mediaserver.api.who import address, audited, is_local
from mediaserver.http import request_records
from mediaserver.http.client_address import parse
from mediaserver.http.problem import ApiError
from mediaserver.people import place_rules, players, stream_rules
from mediaserver.people.place_rules import DETAILS, OWN, PlaceJudge, PlaceRules, Refusal
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.book.records import SessionRecord, StreamRecord

REFERRER_CHARACTERS_MAX: Final = 253


@dataclass(frozen=True, slots=True)
class NewRules:
    """Body of rules, all of them: what is left out is empty."""

    allow_countries: list[str] = field(default_factory=list)
    deny_countries: list[str] = field(default_factory=list)
    allow_networks: list[str] = field(default_factory=list)
    deny_networks: list[str] = field(default_factory=list)
    allow_referrers: list[str] = field(default_factory=list)
    deny_referrers: list[str] = field(default_factory=list)


def routes() -> list[web.RouteDef]:
    """Return the routes of rules."""
    made = []
    for place in ("/api/v1/rules", "/api/v1/streams/{slug}/rules"):
        made += [web.get(place, _show), web.put(place, _put)]
    return made


async def hold_place(request: web.Request, stream: StreamRecord) -> str:
    """Hold that a stream may be watched from where a request comes; return the page's host.

    The operator at the shell is nowhere in particular.

    Raises:
        ApiError: 403 ``place`` or ``referrer``.
    """
    shared = context.of(request)
    host = referrer_of(request)

    def read(connection: Connection) -> list[PlaceRules]:
        return [stream_rules.of(connection, key) for key in (None, stream.id)]

    rules = await shared.people.read(read)
    if is_local(request) or all(item.is_empty for item in rules):
        return host
    if any(item.has_countries for item in rules):
        await shared.countries.ready()
    asked = parse(address(request))
    is_open = shared.countries.is_open_unread
    for item in rules:
        judge = PlaceJudge(item, is_open_without_file=is_open)
        country = None if asked is None else shared.countries.of(asked)
        refusal = judge.refusal(asked, country) or place_rules.referrer_refusal(item, host)
        if refusal is not None:
            reason = "referrer" if refusal is Refusal.REFERRER else "place"
            raise ApiError(403, "Not shown here", DETAILS[refusal], reason=reason)
    return host


def referrer_of(request: web.Request) -> str:
    """Return the host of the page that asks, as its browser names it.

    Returns:
        `place_rules.OWN` for a page of ours, which names none; empty when there is no word of one.
    """
    headers = request.headers
    page = headers.get("Origin", "")
    if page in ("", "null"):  # a page that hides its origin, or no page
        page = headers.get("Referer", "")
    own = own_origin(context.of(request).settings)
    if headers.get("Sec-Fetch-Site") == "same-origin" or f"{page}/".startswith(f"{own}/"):
        return OWN
    try:
        # The root's dot says nothing, and no host of others is ours.
        host = (urlsplit(page).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    if host == OWN:
        return ""
    return f"[{host}]"[:REFERRER_CHARACTERS_MAX] if ":" in host else host[:REFERRER_CHARACTERS_MAX]


async def _show(request: web.Request) -> web.Response:
    stream = await _stream(request)
    rules = await context.of(request).people.read(
        lambda connection: stream_rules.of(connection, stream)
    )
    return web.json_response(_json(request, rules))


async def _put(request: web.Request) -> web.Response:
    shared, stream = context.of(request), await _stream(request)
    wanted = await request_records.read(request, NewRules)
    rules = PlaceRules(
        **{part.name: tuple(getattr(wanted, part.name)) for part in fields(PlaceRules)}
    )
    _check(request, rules, stream)
    now_ms = shared.clock.now_ms()

    def put(book: Book, connection: Connection) -> list[SessionRecord]:
        stream_rules.put(connection, stream, rules, now_ms)
        if stream is None or not rules.has_referrers:
            return []
        playing = book.sessions.of_stream(stream, now_ms)
        pages = players.referrers(connection, [known.session for known in playing])
        ended = [
            known
            for known in playing
            if (page := pages.get(known.session)) is not None
            and place_rules.referrer_refusal(rules, page) is not None
        ]
        book.sessions.end_all(ended, Refusal.REFERRER.value, now_ms)
        return ended

    ended = await audited(
        request,
        "stream.rules" if stream is not None else "server.rules",
        "server" if stream is None else f"stream:{stream}",
        put,
        before=lambda _, connection: _audit_json(stream_rules.of(connection, stream)),
        after=lambda ended: {**_audit_json(rules), **({"ended": len(ended)} if ended else {})},
    )
    shared.changed()
    await tell_store(shared, ended, Refusal.REFERRER.value)
    return web.json_response({**_json(request, rules), "ended": len(ended)})


def _check(request: web.Request, rules: PlaceRules, stream: UUID | None) -> None:
    """Hold that rules can be kept.

    Raises:
        ApiError: 422 with every fault, 409 without a file of countries.
    """
    found = place_rules.faults(rules)
    if stream is None and rules.has_referrers:
        found.append("allow_referrers: pages are named for a stream, not for the whole server")
    if found:
        raise ApiError(422, "Invalid body", "; ".join(found)[:2000], faults=found)
    if rules.has_countries and not context.of(request).settings.watch.country_file:
        raise ApiError(
            409,
            "No file of countries",
            "watch.country_file names none: the operator of this server has to set it first",
        )


async def _stream(request: web.Request) -> UUID | None:
    """Return the stream that the address names; None: the whole server."""
    slug = request.match_info.get("slug")
    if slug is None:
        return None
    return (await context.of(request).book.run(lambda book: book.streams.get(slug))).id


def _audit_json(rules: PlaceRules) -> dict[str, Any]:
    """Return rules as the audit log keeps them: how many networks and pages, not which."""
    return {
        name: list(items) if name.endswith("_countries") else len(items)
        for name, items in asdict(rules).items()
    }


def _json(request: web.Request, rules: PlaceRules) -> dict[str, Any]:
    countries = context.of(request).countries
    fault = countries.fault if rules.has_countries else ""
    return {**asdict(rules), "country_fault": fault or None}
