"""Who makes a request of the API, and whether they may: one middleware, one table.

A machine shows a key, a browser a cookie; both at once are refused, so that it is never a question
whose rights count. What a cookie opens is changed only by JSON from our own pages.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.auth import (
    ADMIN_PREFIX,
    CHALLENGE,
    NOT_A_KEY,
    WRONG_HEADER,
    bearer,
    unlike_key,
)
from mediaserver.api.context import Context
from mediaserver.api.cookies import SESSION, cookie, dropped_cookie, own_origin
from mediaserver.api.problems import Handler
from mediaserver.http.client_address import FORWARDED_FOR
from mediaserver.http.problem import ApiError
from mediaserver.people import api_keys, audit, browser_sessions, permissions, persons, tokens
from mediaserver.people.key_format import prefix_of
from mediaserver.people.per_hour import ENTRIES_MAX
from mediaserver.people.permissions import OpenTo, Permission, Verdict
from mediaserver.people.records import ADMIN, NOBODY, STAFF, BrowserSession, Principal, Role
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.errors import UnknownNameError

T = TypeVar("T")

PRINCIPAL: Final = web.RequestKey("principal", Principal)
SHOW_AGAIN: Final = "show_again"
"""Reason of a refusal: a way in has to be shown first."""
_COMING_IN: Final = ("/api/v1/sign-in/", "/api/v1/sign-up/")
_SAFE: Final = frozenset({"GET", "HEAD"})
_LOCAL: Final = "local"
"""Address of who asks over control's socket: the operator at a shell."""


class SignedOutError(ApiError):
    """A browser's session has ended, or never was."""


@web.middleware
async def permitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let through who may, with `principal` set."""
    resource = request.match_info.route.resource
    if not request.path.startswith(ADMIN_PREFIX) or resource is None:
        return await handler(request)
    row = permissions.of_route(request.method, resource.canonical)
    if row is None:
        raise ApiError(403, "Not allowed", f"nobody may {request.method} {request.path}")
    shared = context.of(request)
    try:
        # A cookie opens nothing there, so that pages of other origins may ask.
        is_of_token = row.path == permissions.TOKEN_PATH
        who = NOBODY if is_of_token else await _principal(request, shared)
    except SignedOutError:
        if row.open_to is not OpenTo.ANYONE:
            raise
        who = NOBODY
    request[PRINCIPAL] = who
    on_stream = await _on_stream(request, shared, row, who)
    now_ms = shared.clock.now_ms()
    verdict = permissions.judge(row, who, on_stream, now_ms, browser_sessions.FRESH_MS)
    if verdict is not Verdict.ALLOWED:
        raise _refusal(verdict, row, who)
    try:
        answer = await handler(request)
    except ApiError as error:
        await note_refusal(request, error)
        raise
    # What is somebody's is for no cache between.
    answer.headers.setdefault("Cache-Control", "no-store")
    return answer


def require_rows(router: web.UrlDispatcher) -> None:
    """Hold that each route of the API has its row, and each row its route.

    Raises:
        ValueError: Names those that have not.
    """
    routes = {
        (route.method, route.resource.canonical)
        for route in router.routes()
        if route.resource is not None and route.resource.canonical.startswith(ADMIN_PREFIX)
    }
    rows = {(row.method, row.path) for row in permissions.TABLE}
    routes = {(method, path) for method, path in routes if method != "HEAD"}
    if unlike := sorted(routes ^ rows):
        raise ValueError(f"routes and mediaserver.people.permissions differ: {unlike}")


def principal(request: web.Request) -> Principal:
    """Return who makes a request that was let through."""
    return request[PRINCIPAL]


async def again(request: web.Request) -> Principal:
    """Return who makes a request, after it changed what they are."""
    return await _principal(request, context.of(request))


def address(request: web.BaseRequest) -> str:
    """Return from where a request comes, as the front found it."""
    return request.headers.get(FORWARDED_FOR, _LOCAL)


def is_local(request: web.BaseRequest) -> bool:
    """Return whether the operator asks at a shell."""
    return FORWARDED_FOR not in request.headers


async def audited(
    request: web.Request,
    action: str,
    target: str | Callable[[T], str],
    work: Callable[[Book, Connection], T],
    *,
    after: Callable[[T], Mapping[str, Any]] = lambda _: {},
    before: Callable[[Book, Connection], Mapping[str, Any]] = lambda _, __: {},
    is_change: Callable[[T], bool] = lambda _: True,
) -> T:
    """Return what `work` returns; it and its entry in the audit log are one transaction.

    Args:
        target: What it is done to; called where only the work tells.
        after: What the log keeps of the result: ids and numbers, no names or secrets.
        before: Reads what is changed, as it was.
        is_change: Whether the work changed anything; else there is no entry.

    Raises:
        ApiError: 429 for somebody who did the same too often within an hour, see `count_entry`.
    """
    shared = context.of(request)

    def run(book: Book, connection: Connection) -> T:
        was = before(book, connection)
        made = work(book, connection)
        if is_change(made):
            named = target if isinstance(target, str) else target(made)
            add_entry(request, connection, action, named, before=was, after=after(made))
        return made

    return await shared.people.write(run)


def add_entry(
    request: web.Request,
    connection: Connection,
    action: str,
    target: str,
    *,
    actor: str = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Write into the audit log what is done in a transaction.

    Args:
        actor: Who does it; empty: who makes the request.

    Raises:
        ApiError: 429, see `count_entry`.
    """
    shared, by = context.of(request), principal(request)
    now_ms = shared.clock.now_ms()
    who = actor or by.actor
    if who.startswith("person:") and not by.roles & STAFF:
        count_entry(shared, who, action, now_ms)
    audit.add(
        connection,
        at_ms=now_ms,
        actor=who,
        action=action,
        target=target,
        address=address(request),
        before=before,
        after=after,
    )


async def asked_of_the_chain(
    request: web.Request,
    action: str,
    target: str,
    ask: Callable[[], Awaitable[T]],
    after: Mapping[str, Any] | None = None,
) -> T:
    """Return what the chain answers; the log has it before it is asked, and how it ended.

    A chain has no transaction with the book: an entry alone says that the end is not known.
    """
    await noted(request, action, target, {**(after or {}), "state": "asked"})
    state = "failed"
    try:
        made = await ask()
        state = "done"
    finally:
        await noted(request, action, target, {"state": state})
    return made


async def noted(
    request: web.Request, action: str, target: str, after: Mapping[str, Any] | None = None
) -> None:
    """Write what was done into the audit log, where it is no change of the book alone."""
    await audited(request, action, target, lambda _, __: None, after=lambda _: after or {})


def count_entry(shared: Context, actor: str, action: str, now_ms: int) -> None:
    """Hold that nobody makes the log grow: the same within an hour, again and again.

    Raises:
        ApiError: 429 when somebody does.
    """
    if not shared.people.entries.take(f"{actor} {action}", now_ms):
        raise ApiError(
            429,
            "Too many changes",
            f"you did this {ENTRIES_MAX} times within an hour; wait for the next one",
            {"Retry-After": "3600"},
        )


async def note_refusal(request: web.Request, error: ApiError) -> None:
    """Write into the log that somebody did not get in, at a bounded rate; the rest is counted."""
    people, now_ms = context.of(request).people, context.of(request).clock.now_ms()
    kind = error.headers.get(WRONG_HEADER)
    if kind is None or not request.path.startswith(_COMING_IN):
        return
    if not people.refusals.take(address(request), now_ms):
        people.refusals_left_out += 1
        return
    left_out, people.refusals_left_out = people.refusals_left_out, 0
    await noted(request, "sign_in.refuse", "server", {"kind": kind, "left_out": left_out})


def hold_fresh(request: web.Request, now_ms: int) -> None:
    """Hold that who is signed in has shown a way in within five minutes.

    Raises:
        ApiError: 401 when they have not.
    """
    shown_ms = principal(request).shown_ms
    if shown_ms is None or now_ms - shown_ms >= browser_sessions.FRESH_MS:
        raise _show_again()


def same_origin(request: web.Request, shared: Context) -> None:
    """Hold that a page of ours asks, in JSON.

    Raises:
        ApiError: 403 or 415.
    """
    origin, own = request.headers.get("Origin", ""), own_origin(shared.settings)
    if origin != own:
        raise ApiError(
            403,
            "Not from this page",
            f"a browser's request comes from a page of {own}, this one from {origin[:200] or '?'}",
        )
    if request.content_type != "application/json":
        raise ApiError(
            415, "Not JSON", "send the header Content-Type: application/json, also without a body"
        )


async def _principal(request: web.Request, shared: Context) -> Principal:
    token = cookie(request, SESSION, shared.settings)
    if "Authorization" in request.headers:
        if token:
            raise ApiError(
                400,
                "Two ways in",
                "the request has a key and a browser's cookie: send one of them",
            )
        return await _of_key(bearer(request), shared)
    if request.method not in _SAFE:
        same_origin(request, shared)
    return await _of_cookie(token, shared) if token else NOBODY


async def _of_key(key: str, shared: Context) -> Principal:
    if hmac.compare_digest(tokens.sha256(key), tokens.sha256(shared.admin_token)):
        return ADMIN
    if prefix_of(key) is None:
        raise wrong(*unlike_key(key))
    now_ms = shared.clock.now_ms()
    known = await shared.people.read(lambda connection: api_keys.find(connection, key, now_ms))
    if known is None:
        raise wrong("key", NOT_A_KEY)
    if api_keys.needs_touch(known, now_ms):
        await shared.people.write(
            lambda _, connection: api_keys.touch(connection, known.prefix, now_ms)
        )
    return Principal(f"key:{known.prefix}", scopes=known.scopes)


async def _of_cookie(token: str, shared: Context) -> Principal:
    now_ms = shared.clock.now_ms()

    def find(connection: Connection) -> tuple[Principal, BrowserSession] | None:
        session = browser_sessions.find(connection, token, now_ms)
        if session is None:
            return None
        who = Principal(
            f"person:{session.person}",
            session.person,
            session.id,
            persons.roles_of(connection, session.person),
            persons.streams_of(connection, session.person),
            shown_ms=session.shown_ms,
        )
        return who, session

    found = await shared.people.read(find)
    if found is None:
        gone = dropped_cookie(SESSION, shared.settings)
        raise SignedOutError(
            401,
            "Not authorised",
            "you are not signed in any more: sign in again",
            {**CHALLENGE, WRONG_HEADER: "session", "Set-Cookie": gone},
        )
    who, session = found
    if browser_sessions.needs_touch(session, now_ms):
        await shared.people.write(
            lambda _, connection: browser_sessions.touch(connection, session, now_ms)
        )
    return who


async def _on_stream(
    request: web.Request, shared: Context, row: Permission, who: Principal
) -> frozenset[Role]:
    """Return what somebody is for the stream that the address names."""
    slug = request.match_info.get("slug")
    if slug is None or not who.streams or row.open_to is not OpenTo.ROLES:
        return frozenset()
    try:
        stream: UUID = (await shared.book.run(lambda book: book.streams.get(slug))).id
    except UnknownNameError:
        return frozenset()
    return who.of_stream(stream)


def wrong(kind: str, detail: str, headers: Mapping[str, str] | None = None) -> ApiError:
    """Return the answer to a secret that opens nothing; the front lets it wait.

    Args:
        kind: What it was meant to be, for counts.
    """
    return ApiError(
        401, "Not authorised", detail, {**CHALLENGE, WRONG_HEADER: kind, **(headers or {})}
    )


def _refusal(verdict: Verdict, row: Permission, who: Principal) -> ApiError:
    if verdict is Verdict.SIGN_IN:
        return ApiError(
            401,
            "Sign in",
            "sign in, or send the header Authorization: Bearer and a key",
            CHALLENGE,
            reason="sign_in",
        )
    if verdict is Verdict.SHOW_AGAIN:
        return _show_again()
    if who.scopes is not None:
        need = f"the scope {row.scope}" if row.scope else "a person: no key may do this"
        return ApiError(
            403,
            "Not allowed",
            f"this needs {need}, and the key has {', '.join(sorted(who.scopes))}",
        )
    need = ", ".join(sorted(row.roles))
    return ApiError(403, "Not allowed", f"this needs one of these roles: {need}")


def _show_again() -> ApiError:
    return ApiError(
        401,
        "Show it again",
        "for this, sign in again: it asks for a way in that was shown within five minutes",
        reason=SHOW_AGAIN,
    )
