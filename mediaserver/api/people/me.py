"""``/api/v1/me``: what somebody who is signed in sees and changes of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from mediaserver.api import context, who
from mediaserver.api.context import Context
from mediaserver.api.cookies import SESSION, drop_cookie
from mediaserver.api.people import sign_in, ways_in
from mediaserver.api.people.sign_in import ShownPasskey
from mediaserver.api.who import audited, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.payments import auto_rules
from mediaserver.payments.auto_records import AutoTopUp
from mediaserver.people import (
    browser_sessions,
    credentials,
    invitations,
    passkeys,
    persons,
    stream_archive,
)
from mediaserver.people.records import (
    BrowserSession,
    Credential,
    Invitation,
    InvitationKind,
    Person,
    Role,
)
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import UnknownNameError
from metering.model.ledger import balance_and_debt
from metering.units import AccountId, account_text

_ADD_PASSKEY: Final = f"{ways_in.ADD}passkey"


@dataclass(frozen=True, slots=True)
class Change:
    """Body of a change of oneself."""

    name: str


@dataclass(frozen=True, slots=True)
class Code:
    """Body with an invitation's code."""

    code: str


def routes() -> list[web.RouteDef]:
    """Return the routes of everybody's own."""
    return [
        web.get("/api/v1/me", _show),
        web.patch("/api/v1/me", _change),
        web.delete("/api/v1/me/session", _sign_out),
        web.get("/api/v1/me/sessions", _sessions),
        web.delete("/api/v1/me/sessions", _end_others),
        web.delete("/api/v1/me/sessions/{session}", _end),
        web.post("/api/v1/me/credentials/passkey/options", _passkey_options),
        web.post("/api/v1/me/credentials/passkey", _add_passkey),
        web.delete("/api/v1/me/credentials/{credential}", _remove),
        web.post("/api/v1/me/recovery-codes", _codes),
        web.post("/api/v1/me/invitations", _take),
        web.post("/api/v1/invitations/look", _look),
    ]


def person_of(request: web.Request) -> str:
    """Return the id of who is signed in."""
    person = principal(request).person
    assert person is not None  # the row of the route lets nobody else through
    return person


async def _show(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)

    def read(connection: Connection) -> dict[str, Any]:
        known = persons.get(connection, person)
        held = credentials.of_person(connection, person)
        return {
            "person": known.id,
            "name": known.name,
            "account": None if known.account is None else account_text(known.account),
            "roles": sorted(persons.roles_of(connection, person)),
            "credentials": [ways_in.credential_json(item) for item in held],
            "recovery_codes": credentials.codes_left(connection, person),
            "ended": _ended(auto_rules.find(connection, person)),
        }

    shown = await shared.people.read(read)
    streams = await _streams(shared, principal(request).streams or {})
    money = await _money(shared, shown)
    money["advice"] += shown.pop("ended")
    return web.json_response({**shown, "streams": streams, **money})


def _ended(rule: AutoTopUp | None) -> list[str]:
    """Return what somebody should know of an automatic top-up that we turned off."""
    if rule is None or not rule.why:
        return []
    return [f"Your balance is not filled automatically any more: {rule.why}."]


async def _streams(shared: Context, held: Any) -> list[dict[str, Any]]:
    records = await shared.book.run(lambda book: book.streams.some(held))
    archived = await shared.people.read(
        lambda connection: stream_archive.since(connection, list(held))
    )
    return [
        {
            "id": str(record.id),
            "slug": record.slug,
            "roles": sorted(held[record.id]),
            "is_archived": record.id in archived,
        }
        for record in records
        if record.id in held
    ]


async def _money(shared: Context, shown: dict[str, Any]) -> dict[str, Any]:
    """Return somebody's balance and debt, and what they should do about their ways in."""
    if shown["account"] is None:
        return {"balance": None, "debt": None, "advice": []}
    account = AccountId(bytes.fromhex(shown["account"][2:]))
    viewer, spent = await shared.book.run(
        lambda book: (book.viewers.get(account), book.cuts.spent(account))
    )
    balance, debt = balance_and_debt(viewer.stayed, spent)
    has_one = len(shown["credentials"]) == 1 and not shown["recovery_codes"]
    advice = (
        ["There is money here, and one way to sign in: add another, or make recovery codes."]
        if balance > 0 and has_one
        else []
    )
    return {"balance": str(balance), "debt": str(debt), "advice": advice}


async def _change(request: web.Request) -> web.Response:
    person = person_of(request)
    wanted = await request_records.read(request, Change)
    await audited(
        request,
        "person.rename",
        f"person:{person}",
        lambda _, connection: persons.rename(connection, person, wanted.name),
        is_change=bool,
    )
    return await _show(request)


async def _sign_out(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    session = str(principal(request).session)
    await audited(
        request,
        "person.sign_out",
        f"person:{person}",
        lambda _, connection: browser_sessions.end(connection, person, session),
        before=lambda _, __: {"session": session},
    )
    response = web.json_response({})
    drop_cookie(response, SESSION, shared.settings)
    return response


async def _sessions(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    now_ms = shared.clock.now_ms()
    known = await shared.people.read(
        lambda connection: browser_sessions.of_person(connection, person, now_ms)
    )
    own = principal(request).session
    return web.json_response({"sessions": [_session_json(item, own) for item in known]})


async def _end(request: web.Request) -> web.Response:
    person, session = person_of(request), request.match_info["session"]
    await audited(
        request,
        "person.session.end",
        f"person:{person}",
        lambda _, connection: browser_sessions.end(connection, person, session),
        before=lambda _, __: {"session": session},
    )
    return web.json_response({"ended": 1})


async def _end_others(request: web.Request) -> web.Response:
    person, own = person_of(request), principal(request).session
    ended = await audited(
        request,
        "person.session.end_others",
        f"person:{person}",
        lambda _, connection: browser_sessions.end_all(connection, person, own),
        after=lambda count: {"ended": count},
        is_change=bool,
    )
    return web.json_response({"ended": ended})


async def _passkey_options(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    party = sign_in.party_of(shared)
    known, held = await shared.people.read(
        lambda connection: (
            persons.get(connection, person),
            credentials.of_person(connection, person),
        )
    )
    await shared.people.load("webauthn")
    secret, challenge = ways_in.begin(request, _ADD_PASSKEY)
    options = passkeys.creation_options(party, challenge.value, person, known.name, held)
    return ways_in.asked(shared, secret, options)


async def _add_passkey(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, ShownPasskey)
    challenge = ways_in.take(request, _ADD_PASSKEY)
    shown = passkeys.created(
        sign_in.party_of(shared), challenge.value, wanted.credential, wanted.label
    )
    return await ways_in.finish(request, challenge, shown)


async def _remove(request: web.Request) -> web.Response:
    """Take a way in away; what else is signed in with it may be a thief's, so it ends too."""
    person, credential = person_of(request), request.match_info["credential"]
    own = principal(request).session

    def remove(_: Book, connection: Connection) -> Credential:
        removed = credentials.remove(connection, person, credential)
        browser_sessions.end_all(connection, person, own)
        return removed

    await audited(
        request,
        "person.credential.remove",
        f"person:{person}",
        remove,
        after=lambda removed: {"credential": removed.id, "kind": removed.kind.value},
    )
    return web.json_response({"removed": 1})


async def _codes(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    now_ms = shared.clock.now_ms()
    codes = await audited(
        request,
        "person.recovery_codes",
        f"person:{person}",
        lambda _, connection: credentials.new_codes(connection, person, now_ms),
    )
    return web.json_response({"codes": codes}, status=HTTPStatus.CREATED)


async def _look(request: web.Request) -> web.Response:
    """Tell what an invitation hands over, before anybody takes it."""
    shared = context.of(request)
    wanted = await request_records.read(request, Code)
    made = await _invitation(shared, wanted.code)
    target = await shared.book.run(lambda book: _target_name(book, made))
    return web.json_response(
        {
            "kind": made.kind.value,
            "role": made.role,
            "name": target,
            "expires_ms": made.expires_ms,
        }
    )


async def _take(request: web.Request) -> web.Response:
    shared, person = context.of(request), person_of(request)
    wanted = await request_records.read(request, Code)
    now_ms = shared.clock.now_ms()

    def take(_: Book, connection: Connection) -> Invitation:
        found = invitations.find(connection, wanted.code, now_ms)
        if found is None:
            raise _no_invitation()
        _hand_over(connection, found, person)
        invitations.take(connection, found.id, person, now_ms)
        return found

    await audited(request, "invitation.take", f"person:{person}", take, after=_handed)
    # The roles that came with it count from this answer on.
    request[who.PRINCIPAL] = await who.again(request)
    return await _show(request)


async def _invitation(shared: Context, code: str) -> Invitation:
    now_ms = shared.clock.now_ms()
    made = await shared.people.read(lambda connection: invitations.find(connection, code, now_ms))
    if made is None:
        raise _no_invitation()
    return made


def _no_invitation() -> ApiError:
    return who.wrong(
        "invitation", "this invitation was taken, taken back or is over: ask for a new one"
    )


def _hand_over(connection: Connection, invitation: Invitation, person: str) -> None:
    match invitation.kind:
        case InvitationKind.VIEWER:
            account = AccountId(bytes.fromhex(invitation.target[2:]))
            persons.give_account(connection, person, account)
        case InvitationKind.STREAM:
            role = invitation.role or Role.CREATOR
            persons.give_stream_role(connection, person, UUID(invitation.target), role)
        case InvitationKind.ROLE:
            assert invitation.role is not None
            held = persons.roles_of(connection, person)
            persons.set_roles(connection, person, held | {invitation.role})


def _handed(invitation: Invitation) -> dict[str, Any]:
    return {
        "invitation": invitation.id,
        "kind": invitation.kind.value,
        "target": invitation.target,
        "role": invitation.role,
    }


def _target_name(book: Book, invitation: Invitation) -> str:
    """Return what an invitation is for, as people call it."""
    try:
        if invitation.kind is InvitationKind.VIEWER:
            return book.viewers.get(invitation.target).name
        if invitation.kind is InvitationKind.STREAM:
            stream = UUID(invitation.target)
            return next((item.title for item in book.streams.some([stream])), "")
    except UnknownNameError:
        return ""
    return "this server"


def _session_json(item: BrowserSession, own: str | None) -> dict[str, Any]:
    return {
        "id": item.id,
        "is_this": item.id == own,
        "created_ms": item.created_ms,
        "seen_ms": item.seen_ms,
        "expires_ms": item.expires_ms,
        "ends_ms": item.ends_ms,
        "address": item.address,
        "agent": item.agent,
    }


def person_json(person: Person) -> dict[str, Any]:
    """Return a person as staff sees them."""
    return {
        "person": person.id,
        "name": person.name,
        "account": None if person.account is None else account_text(person.account),
        "created_ms": person.created_ms,
        "closed_ms": person.closed_ms,
    }
