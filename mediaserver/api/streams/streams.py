"""``/api/v1/streams``: create, list, show, price, key; changes are in `stream_change`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.api.queries import number
from mediaserver.api.streams.guests import visibility
from mediaserver.api.streams.policy_room import hold_price_room, hold_stream_room
from mediaserver.api.streams.price_times import (
    from_tick_fault,
    order_fault,
    withdraw_fault,
    withdraw_until_s,
)
from mediaserver.api.streams.splits import share
from mediaserver.api.streams.stream_creators import MADE, check_count, check_creator
from mediaserver.api.streams.takedowns import takedown_json
from mediaserver.api.who import audited, principal
from mediaserver.hls.slots import EARLY_WAIT_MS, early_text
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, persons, stream_archive, takedowns
from mediaserver.people.records import Role
from mediaserver.people.service import Connection
from mediaserver.people.takedowns import TakeDown
from mediaserver.people.visibility import Visibility
from mediaserver.settings.rules import price_fault
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.errors import InvalidValueError
from metering.model.price import in_force
from metering.model.show_caps import cap_of
from metering.units import Planck, PriceVersion, ShowCap, account_text, parse_account

_NO_CAP: Final = Planck(0)
PAGE_STREAMS: Final = 500
"""Streams in one answer: the rest come with ``?after=<slug>``."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NewStream:
    """Body of a new stream; what is left out comes from ``[price]``."""

    slug: str
    title: str | None = None
    planck_per_s: Planck | None = None
    platform_fee_ppm: int | None = None
    creator: str | None = None
    visibility: str = Visibility.PUBLIC
    show_cap_planck: Planck = _NO_CAP
    payees: dict[str, int] | None = None


@dataclass(frozen=True, slots=True)
class NewPrice:
    """Body of a price change; `from_tick` left out is the earliest that is allowed."""

    planck_per_s: Planck
    from_tick: int | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of streams."""
    return [
        web.get("/api/v1/streams", _list),
        web.post("/api/v1/streams", _create),
        web.get("/api/v1/streams/{slug}", _show),
        web.post("/api/v1/streams/{slug}/prices", _price),
        web.delete("/api/v1/streams/{slug}/prices/{number}", _withdraw),
        web.post("/api/v1/streams/{slug}/key", _rotate),
    ]


async def _list(request: web.Request) -> web.Response:
    shared, after = context.of(request), request.query.get("after", "")
    limit = number(request, "limit", PAGE_STREAMS, PAGE_STREAMS)
    is_archived = _is_archived(request.query.get("archived", "no"))
    where = stream_archive.listed(is_archived=is_archived)
    found = await shared.book.run(lambda book: book.streams.page(after, limit + 1, where))
    beside = await _beside(shared, found)
    return web.json_response(
        {
            "streams": [_shown(shared, record, beside) for record in found[:limit]],
            "next_after": found[limit - 1].slug if len(found) > limit else None,
        }
    )


async def _create(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewStream)
    is_all_theirs = wanted.platform_fee_ppm is None and wanted.creator is None
    check_creator(request, is_all_theirs=is_all_theirs)
    price = shared.settings.price
    planck, seen_by = wanted.planck_per_s, visibility(wanted.visibility)
    if planck is None:
        planck = Planck(int(price.default_planck_per_s))
    check_price(shared, planck)
    creator = None if wanted.creator is None else account(wanted.creator, "creator")
    fee_ppm = price.platform_fee_ppm if wanted.platform_fee_ppm is None else wanted.platform_fee_ppm
    now_ms = shared.clock.now_ms()
    title = wanted.title or wanted.slug
    await hold_stream_room(shared, title)
    who = principal(request)

    def create(book: Book, connection: Connection) -> tuple[StreamRecord, str]:
        check_count(request, connection)
        stream_archive.require_free(connection, wanted.slug)
        made = book.streams.create(wanted.slug, title, planck, now_ms, fee_ppm, creator)
        if wanted.payees:
            share(shared, book, connection, made[0], wanted.payees)
        if seen_by is not Visibility.PUBLIC:
            guests.set_visibility(connection, made[0].id, seen_by)
        if wanted.show_cap_planck:
            book.show_caps.put(made[0].id, wanted.show_cap_planck, 0)
            made = (book.streams.get(wanted.slug), made[1])
        if who.person is not None:
            persons.give_stream_role(connection, who.person, made[0].id, Role.CREATOR)
        return made

    record, key = await audited(
        request,
        MADE,
        lambda made: f"stream:{made[0].id}",
        create,
        after=lambda _: {
            "planck_per_s": str(planck),
            "platform_fee_ppm": fee_ppm,
            "visibility": seen_by,
            "show_cap_planck": str(wanted.show_cap_planck),
            "payees": wanted.payees or {},
        },
    )
    shared.changed()
    await shared.sent()
    return web.json_response(
        {**await answer(shared, record), "stream_key": key}, status=HTTPStatus.CREATED
    )


async def _show(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    record = await shared.book.run(lambda book: book.streams.get(slug))
    shown = await answer(shared, record)
    # No worker that could say so: the stream is planned ahead of a clock that was set right.
    planned_ms = await shared.newest_tick(record.id) * 1000
    early = early_text(planned_ms, shared.clock.now_ms(), EARLY_WAIT_MS)
    if early and shown["health"]["state"] == "offline":
        shown["health"]["advice"].append(early)
    return web.json_response(shown)


async def _price(request: web.Request) -> web.Response:
    """Add a price version; it never touches a second that may already be planned (rules 5)."""
    shared = context.of(request)
    slug = request.match_info["slug"]
    wanted = await request_records.read(request, NewPrice)
    check_price(shared, wanted.planck_per_s)
    record = await shared.book.run(lambda book: book.streams.get(slug))
    notice_s = shared.settings.price.change_notice_s
    earliest = await shared.newest_tick(record.id) + notice_s
    from_tick = earliest if wanted.from_tick is None else wanted.from_tick
    fault = from_tick_fault(from_tick, earliest, notice_s)
    if not fault and from_tick <= record.prices[-1].from_tick:
        fault = order_fault(slug, record.prices[-1], can_go=shared.chain is None)
    if fault:
        raise InvalidValueError(fault)
    await hold_price_room(shared, record)
    version = await audited(
        request,
        "stream.price.add",
        f"stream:{record.id}",
        lambda book, _: book.streams.add_price(slug, wanted.planck_per_s, from_tick),
        after=price_json,
    )
    shared.changed()
    until_s = withdraw_until_s(from_tick, shared.settings.metering.policy_lost_s)
    # With a chain it stays: see `_withdraw`.
    until_ms = until_s * 1000 if shared.chain is None else None
    return web.json_response(
        {**price_json(version), "withdraw_until_ms": until_ms}, status=HTTPStatus.CREATED
    )


async def _withdraw(request: web.Request) -> web.Response:
    """Take the newest price back while no second that it holds for can be claimed (rules 5)."""
    shared = context.of(request)
    slug, text = request.match_info["slug"], request.match_info["number"]
    if not _NUMBER.fullmatch(text):
        raise ApiError(404, "Unknown name", f"{slug} has no price {text[:16]!r}")
    number = int(text)
    if shared.chain is not None:
        raise ApiError(
            409,
            "The chain keeps prices",
            "with a chain a price that was announced stays; add another one that begins later",
        )
    record = await shared.book.run(lambda book: book.streams.get(slug))
    newest_tick, lost_s = (
        await shared.newest_tick(record.id),
        shared.settings.metering.policy_lost_s,
    )
    last = record.prices[-1]
    fault = withdraw_fault(last, newest_tick, lost_s) if last.number == number else ""
    if fault:
        raise InvalidValueError(fault)
    earliest = newest_tick + lost_s + 1
    record = await audited(
        request,
        "stream.price.withdraw",
        f"stream:{record.id}",
        lambda book, _: book.streams.withdraw_price(slug, number, earliest),
        before=lambda _, __: price_json(last),
    )
    shared.changed()
    return web.json_response(await answer(shared, record))


async def _rotate(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    now_ms = shared.clock.now_ms()
    record = await shared.book.run(lambda book: book.streams.get(slug))
    key = await audited(
        request,
        "stream.key.rotate",
        f"stream:{record.id}",
        lambda book, _: book.streams.rotate_key(slug, now_ms),
    )
    shared.changed()
    await shared.sent()
    return web.json_response({"slug": slug, "stream_key": key})


def _caps_json(record: StreamRecord, show: int) -> dict[str, Any]:
    """Return what caps a show, the one on air or one that would begin now, and later ones."""
    cap = cap_of(record.caps, show)
    later = [cap for cap in record.caps if cap.from_show > show]
    return {
        "show_cap": cap_json(cap) if cap is not None and cap.planck else None,
        "show_cap_to_come": cap_json(later[-1]) if later else None,
    }


def cap_json(cap: ShowCap) -> dict[str, Any]:
    """Return a cap as the API shows it."""
    return {"from_show": cap.from_show, "planck": str(cap.planck)}


def account(text: str, field: str) -> Any:
    """Return the account that a field of a body names.

    Raises:
        ApiError: 422 naming the field.
    """
    try:
        return parse_account(text)
    except ValueError as error:
        fault = f"{field}: {error}"
        raise ApiError(422, "Invalid body", fault, faults=[fault]) from error


def price_json(version: PriceVersion) -> dict[str, Any]:
    """Return a price version as the API shows it."""
    return {
        "number": version.number,
        "from_tick": version.from_tick,
        "planck_per_s": str(version.planck_per_tick),
    }


def check_price(shared: Context, planck: int) -> None:
    """Hold that a price can be counted.

    Raises:
        ApiError: 422.
    """
    fault = price_fault(shared.settings, planck)
    if fault:
        fault = f"planck_per_s: {planck} {fault}"
        raise ApiError(422, "Invalid body", fault, faults=[fault])


async def answer(shared: Context, record: StreamRecord) -> dict[str, Any]:
    """Return a stream as the API shows it."""
    return _shown(shared, record, await _beside(shared, [record]))


@dataclass(frozen=True, slots=True)
class _Beside:
    """What the tables of people have of streams: not public, archived, or taken down."""

    visibility: Mapping[UUID, Visibility]
    archived_ms: Mapping[UUID, int]
    taken_down: Mapping[UUID, TakeDown]


async def _beside(shared: Context, records: Sequence[StreamRecord]) -> _Beside:
    ids = [record.id for record in records]
    return await shared.people.read(
        lambda connection: _Beside(
            guests.visibilities(connection, ids),
            stream_archive.since(connection, ids),
            takedowns.all_held(connection),
        )
    )


def _is_archived(text: str) -> bool:
    """Return what the query ``archived`` says.

    Raises:
        ApiError: 422.
    """
    if text not in ("no", "yes"):
        raise ApiError(422, "Invalid query", f"archived: {text[:20]} is neither yes nor no")
    return text == "yes"


def _shown(shared: Context, record: StreamRecord, beside: _Beside) -> dict[str, Any]:
    stream: UUID = record.id
    tick = shared.clock.now_ms() // 1000
    price = in_force(record.prices, tick)
    health, taken = shared.health(stream), beside.taken_down.get(stream)
    return {
        "id": str(stream),
        "slug": record.slug,
        "title": record.title,
        "creator": account_text(record.creator),
        "is_enabled": record.is_enabled,
        "taken_down": None if taken is None else takedown_json(taken),
        "visibility": beside.visibility.get(stream, Visibility.PUBLIC),
        "archived_ms": beside.archived_ms.get(stream),
        "platform_fee_ppm": record.platform_fee_ppm,
        "prices": [price_json(version) for version in record.prices],
        "price": None if price is None else price_json(price),
        "prices_to_come": [
            price_json(version) for version in record.prices if version.from_tick > tick
        ],
        "preview_s": record.preview_of(shared.settings.price.preview_s),
        **_caps_json(record, health["show"] or tick),
        "created_ms": record.created_ms,
        "whip_url": f"{shared.settings.publish_url}/{record.slug}/whip",
        "watch_url": f"{shared.settings.public_url}/{record.slug}/",
        "health": health,
        "chain": None if shared.chain is None else shared.chain.stream_status(record),
    }
