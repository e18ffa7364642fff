"""``POST /api/v1/streams/{slug}/access``: a link or a password makes a guest of who is signed in.

Whatever opens nothing is answered in the same words and after the same work, whether there is such
a stream or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.auth import WRONG_HEADER
from mediaserver.api.me import person_of
from mediaserver.api.who import address, audited
from mediaserver.errors import CapacityError
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, passwords
from mediaserver.people.password_tries import PasswordTries
from mediaserver.people.service import Connection
from mediaserver.people.visibility import Way
from metering.book.book import Book
from metering.errors import UnknownNameError

QUEUE_MAX: Final = 64
"""Passwords that wait to be looked at, one after another: two seconds."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Body with what somebody was given."""

    link: str | None = None
    password: str | None = None


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
    """Return the route of coming in as a guest."""
    return [web.post("/api/v1/streams/{slug}/access", _redeem)]


async def _redeem(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Shown)
    if (wanted.link is None) == (wanted.password is None):
        fault = "give a link or a password"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    slug = request.match_info["slug"]
    try:
        stream: UUID | None = (await shared.book.run(lambda book: book.streams.get(slug))).id
    except UnknownNameError:
        stream = None
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
    return web.json_response({"stream": slug, "is_guest": True})


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
