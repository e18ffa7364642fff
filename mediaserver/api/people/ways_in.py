"""Coming in and adding a way in: what every kind of them begins and ends with.

One purpose is for signing in, the other, with `ADD` before it, for who is signed in and adds one.
Who adds one has shown a way in within five minutes at both ends: when they begin, and when they
finish.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context, who
from mediaserver.api.context import Context
from mediaserver.api.cookies import SESSION, TRY, cookie, drop_cookie, set_cookie
from mediaserver.api.who import audited
from mediaserver.http.problem import ApiError
from mediaserver.people import browser_sessions, credentials, persons
from mediaserver.people.challenges import LIFE_MS, Challenge
from mediaserver.people.credentials import NewCredential
from mediaserver.people.records import Credential, CredentialKind, Person
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import InvalidValueError

ADD: Final = "add-"
GUEST: Final = "Guest"
"""Of who comes without a name, until they say how they want to be called."""
NOT_KNOWN: Final = "nobody signs in with this here: use another way in, or sign up"
_OWN: Final = "/api/v1/me/"


def purpose_of(request: web.Request, way: str) -> str:
    """Return what a challenge is for: one that is asked for below `_OWN` adds a way in."""
    return f"{ADD}{way}" if request.path.startswith(_OWN) else way


def begin(
    request: web.Request,
    purpose: str,
    note: str = "",
    *,
    newcomer: str = "",
    letter_to: str = "",
    life_ms: int = LIFE_MS,
) -> tuple[str, Challenge]:
    """Return a secret and a new challenge; who adds a way in is named in it.

    Args:
        newcomer: Id of a person to be.
        letter_to: Where the secret goes; empty: it is the browser's cookie, see `asked`.

    Raises:
        ApiError: 429 when too many are under way.
    """
    shared = context.of(request)
    person = who.principal(request).person or "" if purpose.startswith(ADD) else newcomer
    made = shared.people.challenges.begin(
        purpose,
        shared.clock.now_ms(),
        who.address(request),
        person,
        note,
        letter_to=letter_to,
        life_ms=life_ms,
    )
    if made is None:
        raise ApiError(
            429,
            "Too many at once",
            "too many people sign in at this moment; try again in a minute",
            {"Retry-After": "60"},
        )
    return made


def asked(shared: Context, secret: str, asks: dict[str, Any]) -> web.Response:
    """Answer with what the browser is asked, and the cookie that the challenge is bound to."""
    response = web.json_response(asks)
    set_cookie(response, TRY, secret, LIFE_MS // 1000, shared.settings)
    return response


def take(request: web.Request, purpose: str) -> Challenge:
    """Return what the browser was asked; it is over with that.

    Raises:
        ApiError: 409 when it was nothing such, or too long ago.
    """
    shared = context.of(request)
    secret = cookie(request, TRY, shared.settings)
    challenge = shared.people.challenges.take(purpose, secret, shared.clock.now_ms())
    if challenge is None:
        raise ApiError(
            409,
            "Begin again",
            "this browser was asked nothing such within five minutes; begin again",
        )
    return challenge


async def finish(
    request: web.Request, challenge: Challenge, shown: NewCredential, name: str = GUEST
) -> web.Response:
    """Sign in by what was shown for a challenge, or add it, whichever was begun.

    Args:
        name: Of who is new.

    Raises:
        ApiError: 403 where nobody new is taken, 401 or 409 where it may not be added.
    """
    if challenge.purpose.startswith(ADD):
        return await _add(request, challenge, shown)
    return await _come_in(request, shown, name)


def count_sign_up(request: web.Request) -> None:
    """Hold that one address, and all together, make no more people than people come.

    Raises:
        ApiError: 429 when they do.
    """
    shared = context.of(request)
    if not shared.people.sign_ups.take(who.address(request), shared.clock.now_ms()):
        raise ApiError(
            429,
            "Too many newcomers",
            "many new accounts were made from this address within an hour; come back later",
            {"Retry-After": "3600"},
        )


def credential_json(item: Credential) -> dict[str, Any]:
    """Return a way in as its owner sees it."""
    return {
        "id": item.id,
        "kind": item.kind.value,
        "label": item.label,
        "subject": None if item.kind is CredentialKind.PASSKEY else item.subject,
        "created_ms": item.created_ms,
        "used_ms": item.used_ms,
    }


async def signed_in(
    request: web.Request, kind: str, find: Callable[[Connection], str], *, is_new: bool = False
) -> web.Response:
    """Answer with a new session of a person; the one that the browser had is over.

    What `find` writes, the session and their entries in the audit log are one transaction.

    Args:
        kind: What they showed, as the log has it.
        find: Returns their id.
        is_new: Whether `find` makes them.

    Raises:
        ApiError: 401 when the person is closed, 429 when they came often within an hour.
    """
    shared = context.of(request)
    now_ms = shared.clock.now_ms()
    old = cookie(request, SESSION, shared.settings)
    agent = request.headers.get("User-Agent", "")

    def make(_: Book, connection: Connection) -> tuple[str, Person]:
        known = persons.get(connection, find(connection))
        if known.closed_ms is not None:
            raise who.wrong("person", NOT_KNOWN)
        actor = f"person:{known.id}"
        had = browser_sessions.find(connection, old, now_ms) if old else None
        if had is not None:
            browser_sessions.end(connection, had.person, had.id)
        token, began = browser_sessions.begin(
            connection,
            known.id,
            now_ms,
            who.address(request),
            agent,
        )
        for action in ("person.sign_up", "person.sign_in") if is_new else ("person.sign_in",):
            who.add_entry(
                request,
                connection,
                action,
                actor,
                actor=actor,
                before={} if had is None else {"session": had.id},
                after={"kind": kind, "session": began.id},
            )
        return token, known

    token, known = await shared.people.write(make)
    response = web.json_response(
        {"person": known.id, "name": known.name},
        status=HTTPStatus.CREATED if is_new else HTTPStatus.OK,
    )
    life_s = browser_sessions.LIFE_MS // 1000
    set_cookie(response, SESSION, token, life_s, shared.settings)
    drop_cookie(response, TRY, shared.settings)
    return response


async def _come_in(request: web.Request, shown: NewCredential, name: str) -> web.Response:
    """Sign somebody in by what they showed; who is new becomes one, where strangers may come."""
    shared = context.of(request)
    now_ms = shared.clock.now_ms()
    known = await shared.people.read(
        lambda connection: credentials.by_subject(connection, shown.kind, shown.subject)
    )
    if known is not None:

        def use(connection: Connection) -> str:
            credentials.used(connection, known.id, 0, now_ms)
            return known.person

        return await signed_in(request, shown.kind, use)
    if not shared.settings.people.sign_up:
        raise ApiError(403, "No newcomers", "this server takes nobody new: people.sign_up is false")
    count_sign_up(request)

    def make(connection: Connection) -> str:
        person = persons.create(connection, _plain_name(name), now_ms).id
        credentials.add(connection, person, shown, now_ms)
        return person

    return await signed_in(request, shown.kind, make, is_new=True)


async def _add(request: web.Request, challenge: Challenge, shown: NewCredential) -> web.Response:
    """Give who is signed in one more way in, which they showed for this challenge."""
    shared, person = context.of(request), who.principal(request).person
    if person is None or challenge.person != person:
        raise ApiError(409, "Begin again", "somebody else began this here; begin again")
    now_ms = shared.clock.now_ms()
    who.hold_fresh(request, now_ms)
    added = await audited(
        request,
        "person.credential.add",
        f"person:{person}",
        lambda _, connection: credentials.add(connection, person, shown, now_ms),
        after=lambda made: {"credential": made.id, "kind": made.kind.value},
    )
    return web.json_response(credential_json(added), status=HTTPStatus.CREATED)


def _plain_name(name: str) -> str:
    """Return a name that can be one: others' words are not always."""
    try:
        return persons.checked_name(name)
    except InvalidValueError:
        return GUEST
