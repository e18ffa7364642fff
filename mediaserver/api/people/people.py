"""``/api/v1/people`` and ``invitations``: what staff sees and does, and who works on a stream."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.people.me import person_json
from mediaserver.api.queries import aged_cursor, page_limit
from mediaserver.api.who import add_entry, audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import (
    api_keys,
    browser_sessions,
    credentials,
    guests,
    invitations,
    persons,
)
from mediaserver.people.records import SERVER_ROLES, STREAM_ROLES, Invitation, InvitationKind, Role
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import InvalidValueError
from metering.units import account_text


@dataclass(frozen=True, slots=True)
class Roles:
    """Body with all roles of a person for the whole server."""

    roles: list[str]


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """Body of an invitation: to a viewer, to a stream, or to a role for the server."""

    viewer: str | None = None
    stream: str | None = None
    role: str | None = None


def routes() -> list[web.RouteDef]:
    """Return the routes of people."""
    return [
        web.get("/api/v1/people", _list),
        web.get("/api/v1/people/{person}", _show),
        web.put("/api/v1/people/{person}/roles", _set_roles),
        web.delete("/api/v1/people/{person}/sessions", _end_sessions),
        web.get("/api/v1/streams/{slug}/people", _of_stream),
        web.delete("/api/v1/streams/{slug}/people/{person}/{role}", _take_role),
        web.get("/api/v1/invitations", _invitations),
        web.post("/api/v1/invitations", _invite),
        web.delete("/api/v1/invitations/{invitation}", _take_back),
    ]


def invitation_address(public_url: str, code: str) -> str:
    """Return where an invitation is taken: the code is behind the #, so that no log has it."""
    return f"{public_url}/me/#invitation={code}"


async def _list(request: web.Request) -> web.Response:
    shared, after = context.of(request), request.query.get("after", "")
    limit = persons.PAGE_MAX
    found = await shared.people.read(lambda connection: persons.page(connection, after, limit + 1))
    return web.json_response(
        {
            "people": [person_json(person) for person in found[:limit]],
            "next_after": found[limit - 1].id if len(found) > limit else None,
        }
    )


async def _show(request: web.Request) -> web.Response:
    shared, person = context.of(request), request.match_info["person"]
    now_ms = shared.clock.now_ms()

    def read(connection: Connection) -> dict[str, Any]:
        known = persons.get(connection, person)
        held = credentials.of_person(connection, person)
        return {
            **person_json(known),
            "roles": sorted(persons.roles_of(connection, person)),
            "streams": {
                str(stream): sorted(roles)
                for stream, roles in persons.streams_of(connection, person).items()
            },
            "credentials": [
                {"id": item.id, "kind": item.kind.value, "created_ms": item.created_ms}
                for item in held
            ],
            "sessions": len(browser_sessions.of_person(connection, person, now_ms)),
        }

    return web.json_response(await shared.people.read(read))


async def _set_roles(request: web.Request) -> web.Response:
    person = request.match_info["person"]
    wanted = await request_records.read(request, Roles)
    shared = context.of(request)
    chosen = [_role(text, "roles", SERVER_ROLES) for text in wanted.roles]
    now_ms = shared.clock.now_ms()

    def work(_: Book, connection: Connection) -> None:
        persons.get(connection, person)
        persons.set_roles(connection, person, chosen)
        if Role.OWNER in chosen:
            return
        # Keys are an owner's to make: those that somebody made end with that.
        for prefix in api_keys.end_of(connection, f"person:{person}", now_ms):
            add_entry(
                request, connection, "key.end", f"key:{prefix}", after={"because": "person.roles"}
            )

    await audited(
        request,
        "person.roles",
        f"person:{person}",
        work,
        before=lambda _, connection: {"roles": sorted(persons.roles_of(connection, person))},
        after=lambda _: {"roles": sorted(set(chosen))},
    )
    shared.changed()
    return await _show(request)


async def _end_sessions(request: web.Request) -> web.Response:
    person = request.match_info["person"]

    def work(_: Book, connection: Connection) -> int:
        persons.get(connection, person)
        return browser_sessions.end_all(connection, person)

    ended = await audited(
        request,
        "person.session.end_all",
        f"person:{person}",
        work,
        after=lambda count: {"ended": count},
    )
    return web.json_response({"ended": ended})


async def _of_stream(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    record = await shared.book.run(lambda book: book.streams.get(slug))

    def read(connection: Connection) -> list[dict[str, Any]]:
        held = persons.of_stream(connection, record.id)
        return [
            {"person": person, "name": persons.get(connection, person).name, "roles": sorted(roles)}
            for person, roles in sorted(held.items())
        ]

    return web.json_response({"people": await shared.people.read(read)})


async def _take_role(request: web.Request) -> web.Response:
    shared, slug = context.of(request), request.match_info["slug"]
    person = request.match_info["person"]
    role = _role(request.match_info["role"], "role", STREAM_ROLES)
    record = await shared.book.run(lambda book: book.streams.get(slug))
    await audited(
        request,
        "stream.role.take",
        f"stream:{record.id}",
        lambda _, connection: persons.take_stream_role(connection, person, record.id, role),
        before=lambda _, __: {"person": person, "role": role},
    )
    return web.json_response({"taken": 1})


async def _invitations(request: web.Request) -> web.Response:
    shared = context.of(request)
    now_ms, made_by = shared.clock.now_ms(), _makers(request)
    limit, before = page_limit(request, invitations.SHOWN_MAX), aged_cursor(request)
    found = await shared.people.read(
        lambda connection: invitations.open_ones(
            connection, now_ms, limit + 1, made_by=made_by, before=before
        )
    )
    last = found[limit - 1] if len(found) > limit else None
    return web.json_response(
        {
            "invitations": [_invitation_json(item) for item in found[:limit]],
            "next_before": None if last is None else f"{last.created_ms}-{last.id}",
        }
    )


async def _invite(request: web.Request) -> web.Response:
    shared, who = context.of(request), principal(request)
    wanted = await request_records.read(request, NewInvitation)
    kind, role = _wanted(wanted)
    now_ms = shared.clock.now_ms()

    def work(book: Book, connection: Connection) -> tuple[str, Invitation]:
        target, held = "", frozenset[Role]()
        if wanted.viewer is not None:
            target = account_text(book.viewers.get(wanted.viewer).account)
        elif wanted.stream is not None:
            stream = guests.seen_stream(book, connection, wanted.stream, who).id
            target, held = str(stream), who.of_stream(stream)
        is_machine = who.scopes is not None
        if not invitations.may_make(kind, who.roles, held, is_machine=is_machine):
            raise ApiError(
                403,
                "Not allowed",
                "an owner invites to anything, a key to a viewer or a stream, a creator to their "
                "own stream",
            )
        return invitations.make(connection, kind, target, role, who.actor, now_ms)

    code, made = await audited(
        request,
        "invitation.make",
        lambda pair: f"invitation:{pair[1].id}",
        work,
        after=lambda pair: {"kind": kind.value, "target": pair[1].target, "role": role},
    )
    return web.json_response(
        {
            **_invitation_json(made),
            "code": code,
            "url": invitation_address(shared.settings.public_url, code),
        },
        status=HTTPStatus.CREATED,
    )


def _wanted(wanted: NewInvitation) -> tuple[InvitationKind, Role | None]:
    """Return what an invitation hands over.

    Raises:
        ApiError: 422 when it is to nothing, or to two things.
    """
    role = wanted.role
    match (wanted.viewer is not None, wanted.stream is not None):
        case (True, False) if role is None:
            return InvitationKind.VIEWER, None
        case (False, True):
            return InvitationKind.STREAM, _role(role or Role.CREATOR, "role", STREAM_ROLES)
        case (False, False) if role is not None:
            return InvitationKind.ROLE, _role(role, "role", SERVER_ROLES)
    fault = (
        "give a viewer, or a stream and its role (creator, moderator), or a role for the server "
        f"({', '.join(sorted(SERVER_ROLES))})"
    )
    raise ApiError(422, "Invalid body", fault, faults=[fault])


async def _take_back(request: web.Request) -> web.Response:
    shared, invitation = context.of(request), request.match_info["invitation"]
    now_ms, made_by = shared.clock.now_ms(), _makers(request)
    await audited(
        request,
        "invitation.take_back",
        f"invitation:{invitation}",
        lambda _, connection: invitations.take_back(connection, invitation, now_ms, made_by),
    )
    return web.json_response({"taken_back": 1})


def _makers(request: web.Request) -> str:
    """Return whose invitations somebody sees and takes back; empty: everybody's."""
    who = principal(request)
    is_theirs_alone = who.person is not None and not who.roles & {Role.OWNER, Role.SUPPORT}
    return who.actor if is_theirs_alone else ""


def _role(text: str, field: str, among: frozenset[Role]) -> Role:
    if text not in among:
        raise InvalidValueError(f"{field}: {text[:32]!r} is none of {', '.join(sorted(among))}")
    return Role(text)


def _invitation_json(item: Invitation) -> dict[str, Any]:
    return {
        "id": item.id,
        "kind": item.kind.value,
        "target": item.target,
        "role": item.role,
        "made_by": item.made_by,
        "created_ms": item.created_ms,
        "expires_ms": item.expires_ms,
    }
