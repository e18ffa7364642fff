"""``/api/v1/streams``: create, list, show, price, key, open and close."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import Context
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.settings.rules import price_fault
from metering.book.records import StreamRecord
from metering.errors import InvalidValueError
from metering.units import Planck, PriceVersion, account_text, parse_account

STREAMS_MAX: Final = 10_000
"""What one policy message to the HTTP processes holds (mediaserver/ipc/framing.py)."""
POLICY_BYTES_MAX: Final = 11 << 20
"""The same, when titles are long: 10,000 of 800 bytes each, or 1,700 of 500 emoji."""
PRICE_AHEAD_MAX_S: Final = 366 * 86_400
"""A price further ahead is a slip; a year is enough to announce one."""
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_STREAM_BYTES: Final = 168
_PRICE_BYTES: Final = 104


@dataclass(frozen=True, slots=True)
class NewStream:
    """Body of a new stream; what is left out comes from ``[price]``."""

    slug: str
    title: str | None = None
    planck_per_s: Planck | None = None
    platform_fee_ppm: int | None = None
    creator: str | None = None


@dataclass(frozen=True, slots=True)
class NewPrice:
    """Body of a price change; `from_tick` left out is the earliest that is allowed."""

    planck_per_s: Planck
    from_tick: int | None = None


@dataclass(frozen=True, slots=True)
class StreamChange:
    """Body of a change of a stream."""

    is_enabled: bool


def routes() -> list[web.RouteDef]:
    """Return the routes of streams."""
    return [
        web.get("/api/v1/streams", _list),
        web.post("/api/v1/streams", _create),
        web.get("/api/v1/streams/{slug}", _show),
        web.patch("/api/v1/streams/{slug}", _change),
        web.post("/api/v1/streams/{slug}/prices", _price),
        web.delete("/api/v1/streams/{slug}/prices/{number}", _withdraw),
        web.post("/api/v1/streams/{slug}/key", _rotate),
    ]


async def _list(request: web.Request) -> web.Response:
    shared = context.of(request)
    records = await shared.book.run(lambda book: book.streams.all())
    return web.json_response({"streams": [_shown(shared, record) for record in records]})


async def _create(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewStream)
    price = shared.settings.price
    planck = wanted.planck_per_s
    if planck is None:
        planck = Planck(int(price.default_planck_per_s))
    _check_price(shared, planck)
    creator = None if wanted.creator is None else account(wanted.creator, "creator")
    fee_ppm = price.platform_fee_ppm if wanted.platform_fee_ppm is None else wanted.platform_fee_ppm
    now_ms = shared.clock.now_ms()
    title = wanted.title or wanted.slug
    records = await shared.book.run(lambda book: book.streams.all())
    size = policy_bytes(title, 1)
    size += sum(policy_bytes(record.title, len(record.prices)) for record in records)
    if len(records) >= STREAMS_MAX or size > POLICY_BYTES_MAX:
        raise ApiError(
            409,
            "Too many streams",
            f"there are {len(records)} streams: no more, with such titles, fit",
        )
    record, key = await shared.book.run(
        lambda book: book.streams.create(wanted.slug, title, planck, now_ms, fee_ppm, creator)
    )
    shared.changed()
    return web.json_response(
        {**_shown(shared, record), "stream_key": key}, status=HTTPStatus.CREATED
    )


async def _show(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    record = await shared.book.run(lambda book: book.streams.get(slug))
    return web.json_response(_shown(shared, record))


async def _change(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    wanted = await request_records.read(request, StreamChange)
    record = await shared.book.run(
        lambda book: book.streams.enable(slug, is_enabled=wanted.is_enabled)
    )
    shared.changed()
    return web.json_response(_shown(shared, record))


async def _price(request: web.Request) -> web.Response:
    """Add a price version; it never touches a second that may already be planned (rules 5)."""
    shared = context.of(request)
    slug = request.match_info["slug"]
    wanted = await request_records.read(request, NewPrice)
    _check_price(shared, wanted.planck_per_s)
    record = await shared.book.run(lambda book: book.streams.get(slug))
    notice_s = shared.settings.price.change_notice_s
    earliest = await shared.newest_tick(record.id) + notice_s
    from_tick = earliest if wanted.from_tick is None else wanted.from_tick
    fault = from_tick_fault(from_tick, earliest, notice_s)
    if fault:
        raise InvalidValueError(fault)
    version = await shared.book.run(
        lambda book: book.streams.add_price(slug, wanted.planck_per_s, from_tick)
    )
    shared.changed()
    return web.json_response(price_json(version), status=HTTPStatus.CREATED)


async def _withdraw(request: web.Request) -> web.Response:
    """Take the newest price back before any second that it holds for may be planned."""
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
    earliest = await shared.newest_tick(record.id) + shared.settings.price.change_notice_s
    record = await shared.book.run(lambda book: book.streams.withdraw_price(slug, number, earliest))
    shared.changed()
    return web.json_response(_shown(shared, record))


async def _rotate(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    now_ms = shared.clock.now_ms()
    key = await shared.book.run(lambda book: book.streams.rotate_key(slug, now_ms))
    return web.json_response({"slug": slug, "stream_key": key})


def policy_bytes(title: str, price_count: int) -> int:
    """Return at most how many bytes a stream takes in a policy message."""
    return _STREAM_BYTES + len(json.dumps(title)) + price_count * _PRICE_BYTES


def from_tick_fault(from_tick: int, earliest: int, notice_s: int) -> str:
    """Return what is wrong with the first second of a new price, or nothing when it is legal."""
    if from_tick < earliest:
        return (
            f"from_tick {from_tick}: a price starts at least price.change_notice_s "
            f"({notice_s} s) past the newest second planned; "
            f"use {earliest} or later, or leave it out"
        )
    if from_tick <= earliest + PRICE_AHEAD_MAX_S:
        return ""
    for unit, divisor in (("milli", 10**3), ("micro", 10**6), ("nano", 10**9)):
        if earliest <= from_tick // divisor <= earliest + PRICE_AHEAD_MAX_S:
            return (
                f"from_tick {from_tick}: looks like {unit}seconds, but counts seconds of Unix "
                f"time; use {from_tick // divisor}"
            )
    return (
        f"from_tick {from_tick}: a price starts at most {PRICE_AHEAD_MAX_S // 86_400} days ahead, "
        f"in seconds of Unix time; use {earliest + PRICE_AHEAD_MAX_S} or earlier"
    )


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


def _check_price(shared: Context, planck: int) -> None:
    fault = price_fault(shared.settings, planck)
    if fault:
        fault = f"planck_per_s: {planck} {fault}"
        raise ApiError(422, "Invalid body", fault, faults=[fault])


def _shown(shared: Context, record: StreamRecord) -> dict[str, Any]:
    stream: UUID = record.id
    return {
        "id": str(stream),
        "slug": record.slug,
        "title": record.title,
        "creator": account_text(record.creator),
        "is_enabled": record.is_enabled,
        "platform_fee_ppm": record.platform_fee_ppm,
        "prices": [price_json(price) for price in record.prices],
        "created_ms": record.created_ms,
        "whip_url": f"{shared.settings.public_url}/{record.slug}/whip",
        "watch_url": f"{shared.settings.public_url}/{record.slug}/",
        "health": shared.health(stream),
        "chain": None if shared.chain is None else shared.chain.stream_status(record),
    }
