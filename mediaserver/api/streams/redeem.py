"""``/api/v1/streams/{slug}``: ``access``, ``entry``: in by a link or a password.

`access` makes a guest of who is signed in, `access/look` says what a link opens and uses nothing
up, `entry` says what somebody's stream is and costs.

Whatever opens nothing is answered in the same words and after the same work, whether there is such
a stream or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.auth import WRONG_HEADER
from mediaserver.api.people.me import person_of
from mediaserver.api.streams.passes import passes_json
from mediaserver.api.viewers.own_account import known_account
from mediaserver.api.who import address, audited, principal
from mediaserver.errors import CapacityError
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, passwords
from mediaserver.people.password_tries import PasswordTries
from mediaserver.people.service import Connection
from mediaserver.people.visibility import Way
from metering.book.book import Book
from metering.book.records import StreamRecord
from metering.errors import UnknownNameError
from metering.model import price
from metering.model.named_prices import prices_of

QUEUE_MAX: Final = 64
"""Passwords that wait to be looked at, one after another: two seconds."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Body with what somebody was given."""

    link: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Body with the secret of a link."""

    link: str


class Passwords:
    """Looks at passwords off the loop and the book's thread, one at a time."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.tries = PasswordTries()
        self.sleep = sleep
        self._turn = asyncio.Lock()
        self._queued = 0

    async def is_right(self, kept: str, password: str) -> bool:
        """Return whether a password is what `kept` is the hash of.

        Raises:
            CapacityError: Too many wait.
        """
        if self._queued >= QUEUE_MAX:
            raise CapacityError("too many passwords are being looked at: try again in a moment")
        self._queued += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(passwords.is_right, kept, password)
        finally:
            self._queued -= 1


PASSWORDS: Final = web.AppKey("passwords", Passwords)


def routes() -> list[web.RouteDef]:
    """Return the routes of coming in as a guest."""
    return [
        web.post("/api/v1/streams/{slug}/access", _redeem),
        web.post("/api/v1/streams/{slug}/access/look", _look),
        web.get("/api/v1/streams/{slug}/entry", _entry),
    ]


async def _redeem(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Shown)
    if (wanted.link is None) == (wanted.password is None):
        fault = "give a link or a password"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    record = await _stream(request)
    stream = None if record is None else record.id
    if wanted.password is not None:
        await _check_password(request, stream, person, wanted.password)
    name, now_ms = guests.of_person(person), shared.clock.now_ms()

    def come_in(_: Book, connection: Connection) -> None:
        if stream is None:
            raise _refused()
        if wanted.password is not None:
            guests.add(connection, stream, name, Way.PASSWORD, now_ms)
        elif not guests.use_link(connection, stream, str(wanted.link), name, now_ms):
            raise _refused()

    await audited(
        request,
        "stream.guest.come",
        f"stream:{stream}",
        come_in,
        after=lambda _: {"guest": name, "way": Way.LINK if wanted.link else Way.PASSWORD},
    )
    assert record is not None  # it let somebody in
    return web.json_response({**await _entry_json(request, record), "is_guest": True})


async def _look(request: web.Request) -> web.Response:
    shared, wanted = context.of(request), await request_records.read(request, Link)
    record, now_ms = await _stream(request), shared.clock.now_ms()
    # As much work where there is no such stream.
    stream = UUID(int=0) if record is None else record.id
    is_open = await shared.people.read(
        lambda connection: guests.opens(connection, stream, wanted.link, now_ms)
    )
    if record is None or not is_open:
        raise _refused()
    return web.json_response(await _entry_json(request, record))


async def _entry(request: web.Request) -> web.Response:
    shared, slug, asks = context.of(request), request.match_info["slug"], principal(request)
    record = await shared.people.write(
        lambda book, connection: guests.seen_stream(book, connection, slug, asks)
    )
    return web.json_response(await _entry_json(request, record))


async def _stream(request: web.Request) -> StreamRecord | None:
    slug = request.match_info["slug"]
    try:
        return await context.of(request).book.run(lambda book: book.streams.get(slug))
    except UnknownNameError:
        return None


async def _entry_json(request: web.Request, record: StreamRecord) -> dict[str, Any]:
    """Return what a stream is and costs who asks, if they may see it."""
    shared, person = context.of(request), principal(request).person
    account = None if person is None else await known_account(request, person)
    named = await shared.book.run(lambda book: book.named_prices.of(record.id))
    prices = prices_of(record.prices, named.get(account, ()) if account else ())
    version = price.in_force(prices, shared.clock.now_ms() // 1000)
    return {
        "stream": record.slug,
        "title": record.title,
        "state": shared.health(record.id)["state"],
        "planck_per_s": str(0 if version is None else version.planck_per_tick),
        "preview_s": record.preview_of(shared.settings.price.preview_s),
        "passes": await passes_json(shared, record, account),
        "symbol": shared.settings.price.asset_symbol,
        "decimals": shared.settings.price.asset_decimals,
    }


async def _check_password(
    request: web.Request, stream: UUID | None, person: str, password: str
) -> None:
    """Hold that a password is the stream's.

    Raises:
        ApiError: 403 when it is not, or there is no such stream; 429 after too many.
    """
    shared, gate = context.of(request), request.app[PASSWORDS]
    origin, tries = address(request), gate.tries
    if not tries.take(person, origin, shared.clock.now_ms()):
        raise ApiError(
            429,
            "Too many passwords",
            "you tried too many passwords within an hour: ask for the right one, or for a link",
            {"Retry-After": "3600"},
        )
    kept = ""
    if stream is not None:
        known = stream
        kept = await shared.people.read(lambda connection: guests.password_of(connection, known))
    if not await gate.is_right(kept, password[: passwords.CHARACTERS_MAX + 1]):
        target = request.match_info["slug"]
        await gate.sleep(tries.wait_s(target, shared.clock.monotonic()))
        raise _refused()
    tries.was_right(person, origin)


def _refused() -> ApiError:
    return ApiError(
        403,
        "Not admitted",
        "this opens no stream at this address: it was taken back or used up, or is not whole",
        {WRONG_HEADER: "guest"},
        reason="not_admitted",
    )
