"""``/api/v1/sign-in`` and ``sign-up``: a browser shows who somebody is, and gets a session.

Nothing here tells whether somebody has an account: a passkey is offered by the browser itself, and
every wrong answer reads the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context, who
from mediaserver.api.context import Context
from mediaserver.api.cookies import own_origin
from mediaserver.api.people import ways_in
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import credentials, passkeys, persons, tokens
from mediaserver.people.records import CredentialKind
from mediaserver.people.relying_party import RelyingParty, relying_party
from mediaserver.people.service import Connection
from metering.errors import InvalidValueError

_SIGN_UP: Final = "sign-up"
_SIGN_IN: Final = "passkey"


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Body of a sign-up: how somebody wants to be called."""

    name: str


@dataclass(frozen=True, slots=True)
class ShownPasskey:
    """Body with a passkey that a browser made or shows, as ``toJSON`` gives it."""

    credential: dict[str, Any]
    label: str = ""


@dataclass(frozen=True, slots=True)
class RecoveryCode:
    """Body with one of somebody's recovery codes."""

    code: str


def routes() -> list[web.RouteDef]:
    """Return the routes of coming in."""
    return [
        web.get("/api/v1/sign-in", _ways, allow_head=False),
        web.post("/api/v1/sign-up/passkey/options", _sign_up_options),
        web.post("/api/v1/sign-up/passkey", _sign_up),
        web.post("/api/v1/sign-in/passkey/options", _options),
        web.post("/api/v1/sign-in/passkey", _passkey),
        web.post("/api/v1/sign-in/recovery", _recovery),
    ]


async def _ways(request: web.Request) -> web.Response:
    """Tell a page which ways in there are."""
    settings = context.of(request).settings
    return web.json_response(
        {
            "passkey": relying_party(settings.public_url) is not None,
            "sign_up": settings.people.sign_up,
            "origin": own_origin(settings),
            "mail": bool(settings.people.mail_url),
            "oidc": [item.name for item in settings.people.oidc],
            "is_signed_in": who.principal(request).person is not None,
        }
    )


async def _sign_up_options(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, NewPerson)
    if not shared.settings.people.sign_up:
        raise ApiError(403, "No newcomers", "this server takes nobody new: people.sign_up is false")
    name = persons.checked_name(wanted.name)
    party = party_of(shared)
    await shared.people.load("webauthn")
    person = tokens.new_person_id()
    secret, challenge = ways_in.begin(request, _SIGN_UP, name, newcomer=person)
    options = passkeys.creation_options(party, challenge.value, person, name)
    return ways_in.asked(shared, secret, options)


async def _sign_up(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, ShownPasskey)
    challenge = ways_in.take(request, _SIGN_UP)
    ways_in.count_sign_up(request)
    shown = passkeys.created(party_of(shared), challenge.value, wanted.credential, wanted.label)
    now_ms = shared.clock.now_ms()

    def make(connection: Connection) -> str:
        person = persons.create(connection, challenge.note, now_ms, challenge.person).id
        credentials.add(connection, person, shown, now_ms)
        return person

    return await ways_in.signed_in(request, shown.kind, make, is_new=True)


async def _options(request: web.Request) -> web.Response:
    shared = context.of(request)
    party = party_of(shared)
    await shared.people.load("webauthn")
    secret, challenge = ways_in.begin(request, _SIGN_IN)
    return ways_in.asked(shared, secret, passkeys.request_options(party, challenge.value))


async def _passkey(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, ShownPasskey)
    challenge = ways_in.take(request, _SIGN_IN)
    subject = passkeys.subject_of(wanted.credential)
    known = await shared.people.read(
        lambda connection: credentials.by_subject(connection, CredentialKind.PASSKEY, subject)
    )
    if known is None:
        raise who.wrong("passkey", ways_in.NOT_KNOWN)
    try:
        count = passkeys.shown(party_of(shared), challenge.value, wanted.credential, known)
    except InvalidValueError as error:
        raise who.wrong("passkey", str(error)) from error
    now_ms = shared.clock.now_ms()

    def use(connection: Connection) -> str:
        credentials.used(connection, known.id, count, now_ms)
        return known.person

    return await ways_in.signed_in(request, known.kind, use)


async def _recovery(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, RecoveryCode)
    now_ms = shared.clock.now_ms()

    def use(connection: Connection) -> str:
        person = credentials.use_code(connection, wanted.code, now_ms)
        if person is None:
            raise who.wrong("recovery", "this is no unused recovery code: each opens once")
        return person

    return await ways_in.signed_in(request, "recovery", use)


def party_of(shared: Context) -> RelyingParty:
    """Return whom passkeys are made for.

    Raises:
        ApiError: 409 where browsers make none.
    """
    party = relying_party(shared.settings.public_url)
    if party is None:
        raise ApiError(
            409,
            "No passkeys here",
            f"browsers make passkeys for a name over HTTPS, and server.public_url is "
            f"{shared.settings.public_url}; on this machine use http://localhost",
        )
    return party
