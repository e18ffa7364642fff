"""``/api/v1/streams/{slug}``: ``guests``, ``links``, ``password``: who may see it by invitation."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.streams.uninvited import change
from mediaserver.api.streams.viewer_names import viewer_of
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, passwords, persons
from mediaserver.people.records import Principal
from mediaserver.people.service import Connection
from mediaserver.people.visibility import Guest, GuestLink, Visibility, Way
from metering.book.book import Book
from metering.errors import InvalidValueError

PAGE_MAX: Final = 500
LINK_LIFE_MS: Final = 7 * 86_400_000
LINK_LIFE_MAX_MS: Final = 366 * 86_400_000
_PERSON: Final = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class NewGuest:
    """Body with somebody to list: a person by id, or a viewer by name or account."""

    person: str | None = None
    viewer: str | None = None


@dataclass(frozen=True, slots=True)
class NewLink:
    """Body of a guest link; left out, it is for one guest and a week."""

    uses: int = 1
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewPassword:
    """Body of a password; none takes it away."""

    password: str | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of guests."""
    stream = "/api/v1/streams/{slug}"
    return [
        web.get(f"{stream}/guests", _list),
        web.post(f"{stream}/guests", _add),
        web.delete(f"{stream}/guests/{{guest}}", _remove),
        web.post(f"{stream}/links", _make_link),
        web.delete(f"{stream}/links/{{link}}", _end_link),
        web.put(f"{stream}/password", _set_password),
    ]


def visibility(text: str) -> Visibility:
    """Return whom a stream shall be for.

    Raises:
        ApiError: 422.
    """
    if text not in list(Visibility):
        fault = f"visibility: {text[:32]!r} is none of {', '.join(Visibility)}"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    return Visibility(text)


async def _list(request: web.Request) -> web.Response:
    shared, after = context.of(request), request.query.get("after", "")
    stream = await _stream(request)
    now_ms = shared.clock.now_ms()

    def read(connection: Connection) -> dict[str, Any]:
        found = guests.page(connection, stream, after, PAGE_MAX + 1)
        return {
            "visibility": guests.visibility_of(connection, stream),
            "has_password": bool(guests.password_of(connection, stream)),
            "links": [_link_json(item, now_ms) for item in guests.links(connection, stream)],
            "guests": [_guest_json(item) for item in found[:PAGE_MAX]],
            "next_after": found[PAGE_MAX - 1].name if len(found) > PAGE_MAX else None,
        }

    return web.json_response(await shared.people.read(read))


async def _add(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewGuest)
    if (wanted.person is None) == (wanted.viewer is None):
        fault = "give a person by id, or a viewer by name or account"
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    stream = await _stream(request)
    now_ms, who = shared.clock.now_ms(), principal(request)

    def add(book: Book, connection: Connection) -> Guest:
        if wanted.person is not None:
            name = guests.of_person(persons.get(connection, wanted.person).id)
        else:
            name = _of_viewer(book, connection, who, stream, str(wanted.viewer))
        guests.add(connection, stream, name, Way.LISTED, now_ms)
        return guests.get(connection, stream, name)

    made = await audited(
        request,
        "stream.guest.add",
        f"stream:{stream}",
        add,
        after=lambda item: {"guest": item.name},
    )
    return web.json_response(_guest_json(made), status=HTTPStatus.CREATED)


async def _remove(request: web.Request) -> web.Response:
    stream, guest = await _stream(request), request.match_info["guest"]
    who = principal(request)

    def name(book: Book, connection: Connection) -> str:
        if _PERSON.fullmatch(guest):
            return guests.of_person(guest)
        if guest.startswith("0x"):
            return f"account:{guest}"
        return _of_viewer(book, connection, who, stream, guest)

    await change(
        request,
        "stream.guest.remove",
        stream,
        lambda book, connection: guests.remove(connection, stream, name(book, connection)),
        before=lambda book, connection: {"guest": name(book, connection)[:80]},
    )
    return web.json_response({"removed": 1})


def _of_viewer(
    book: Book, connection: Connection, who: Principal, stream: UUID, viewer: str
) -> str:
    """Return what the list of guests calls a viewer: the person behind the account, if any."""
    account = viewer_of(book, who, stream, viewer).account
    owner = persons.of_account(connection, account)
    return guests.of_account(account) if owner is None else guests.of_person(owner.id)


async def _make_link(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewLink)
    stream, now_ms = await _stream(request), shared.clock.now_ms()
    expires_ms = now_ms + LINK_LIFE_MS if wanted.expires_ms is None else wanted.expires_ms
    if expires_ms > now_ms + LINK_LIFE_MAX_MS:
        raise InvalidValueError(
            f"expires_ms {expires_ms}: a link lives 366 days at most; it is Unix time in "
            "milliseconds"
        )
    actor = principal(request).actor
    secret, made = await audited(
        request,
        "stream.link.make",
        f"stream:{stream}",
        lambda _, connection: guests.make_link(
            connection, stream, wanted.uses, actor, now_ms, expires_ms
        ),
        after=lambda pair: {"link": pair[1].id, "uses": wanted.uses, "expires_ms": expires_ms},
    )
    # Behind the #, so that no server's log has it.
    url = f"{shared.settings.public_url}/{request.match_info['slug']}/#guest={secret}"
    return web.json_response(
        {**_link_json(made, now_ms), "secret": secret, "url": url}, status=HTTPStatus.CREATED
    )


async def _end_link(request: web.Request) -> web.Response:
    shared = context.of(request)
    stream, link = await _stream(request), request.match_info["link"]
    with_guests = request.query.get("guests") == "remove"
    now_ms = shared.clock.now_ms()
    removed = await change(
        request,
        "stream.link.end",
        stream,
        lambda _, connection: guests.end_link(
            connection, stream, link, now_ms, with_guests=with_guests
        ),
        after=lambda count: {"link": link[:32], "removed": count},
    )
    return web.json_response({"ended": 1, "removed": removed})


async def _set_password(request: web.Request) -> web.Response:
    wanted = await request_records.read(request, NewPassword)
    stream, password = await _stream(request), wanted.password
    if password is not None and not (
        passwords.CHARACTERS_MIN <= len(password) <= passwords.CHARACTERS_MAX
    ):
        fault = (
            f"password: has {len(password)} characters, not {passwords.CHARACTERS_MIN} to "
            f"{passwords.CHARACTERS_MAX}"
        )
        raise ApiError(422, "Invalid body", fault, faults=[fault])
    kept = "" if password is None else await asyncio.to_thread(passwords.hashed, password)
    await audited(
        request,
        "stream.password.set",
        f"stream:{stream}",
        lambda _, connection: guests.set_password(connection, stream, kept),
        after=lambda _: {"has_password": bool(kept)},
    )
    return web.json_response({"has_password": bool(kept)})


async def _stream(request: web.Request) -> UUID:
    slug = request.match_info["slug"]
    return (await context.of(request).book.run(lambda book: book.streams.get(slug))).id


def _guest_json(item: Guest) -> dict[str, Any]:
    kind, _, name = item.name.partition(":")
    return {
        "guest": name,
        "kind": kind,
        "way": item.way.value,
        "link": item.link or None,
        "since_ms": item.since_ms,
    }


def _link_json(item: GuestLink, now_ms: int) -> dict[str, Any]:
    return {
        "id": item.id,
        "is_open": item.is_open(now_ms),
        "uses_max": item.uses_max,
        "uses": item.uses,
        "made_by": item.made_by,
        "created_ms": item.created_ms,
        "expires_ms": item.expires_ms,
        "ended_ms": item.ended_ms,
    }
