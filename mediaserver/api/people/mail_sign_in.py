"""``sign-in/mail`` and ``me/credentials/mail``: a link in a letter, taken by a click, once.

Whether somebody has an account is not told: every address gets the same answer, at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mediaserver import log
from mediaserver.api import context, who
from mediaserver.api.context import Context
from mediaserver.api.people import ways_in
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import credentials, mail
from mediaserver.people.credentials import NewCredential
from mediaserver.people.mail import MailError, MailServer
from mediaserver.people.records import CredentialKind
from metering.errors import InvalidValueError

LIFE_MS: Final = 10 * 60_000
LETTERS_PER_ADDRESS_MAX: Final = 3
"""To one address within `LIFE_MS`: nobody fills another's mailbox."""
_WAY: Final = "mail"

_log = log.get("people")
_tasks: set[asyncio.Task[None]] = set()


@dataclass(frozen=True, slots=True)
class Asked:
    """Body with a mail address."""

    address: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Body with what was behind the # of the link."""

    secret: str


def routes() -> list[web.RouteDef]:
    """Return the routes of mailed links."""
    return [
        web.post("/api/v1/sign-in/mail", _ask),
        web.post("/api/v1/sign-in/mail/confirm", _confirm),
        web.post("/api/v1/me/credentials/mail", _ask),
        web.post("/api/v1/me/credentials/mail/confirm", _confirm),
    ]


async def _ask(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, Asked)
    address, server = mail.mail_address(wanted.address), _server(shared)
    challenges, now_ms = shared.people.challenges, shared.clock.now_ms()
    if challenges.count_letters(address, now_ms) >= LETTERS_PER_ADDRESS_MAX:
        raise ApiError(
            429,
            "Enough letters",
            f"{LETTERS_PER_ADDRESS_MAX} letters went to this address within ten minutes: look "
            "among the spam, or wait",
            {"Retry-After": str(LIFE_MS // 1000)},
        )
    if not shared.people.letters.take(who.address(request), now_ms):
        raise ApiError(
            429,
            "Enough letters",
            "many letters were asked for from this address within an hour; come back later",
            {"Retry-After": "3600"},
        )
    purpose = ways_in.purpose_of(request, _WAY)
    secret, _ = ways_in.begin(request, purpose, address, letter_to=address, life_ms=LIFE_MS)
    known = await shared.people.read(
        lambda connection: credentials.by_subject(connection, CredentialKind.MAIL, address)
    )
    if purpose != _WAY or known is not None or shared.settings.people.sign_up:
        # Not waited for: how long a letter takes would tell who has an account.
        url = f"{shared.settings.public_url}/me/#{purpose}={secret}"
        task = asyncio.create_task(_deliver(server, address, url))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
    return web.json_response({"minutes": LIFE_MS // 60_000}, status=202)


async def _deliver(server: MailServer, address: str, url: str) -> None:
    text = (
        f"Open this address within ten minutes, and press the button there:\n\n{url}\n\n"
        "It works once. If you did not ask for it, leave it: nothing happens without the press.\n"
    )
    try:
        await mail.send(server, address, "Your link to sign in", text)
    except MailError as error:
        _log.error("people.mail.failed", reason=str(error))


async def _confirm(request: web.Request) -> web.Response:
    shared, purpose = context.of(request), ways_in.purpose_of(request, _WAY)
    wanted = await request_records.read(request, Taken)
    challenge = shared.people.challenges.take(purpose, wanted.secret, shared.clock.now_ms())
    if challenge is None:
        raise who.wrong("mail", "this link was used, or is over: ask for another letter")
    shown = NewCredential(CredentialKind.MAIL, challenge.note, challenge.note)
    return await ways_in.finish(request, challenge, shown, challenge.note.partition("@")[0])


def _server(shared: Context) -> MailServer:
    try:
        server = mail.mail_server(shared.settings.people)
    except InvalidValueError as error:
        # Its words name a file of this machine: they are for the operator alone.
        _log.error("people.mail.failed", reason=str(error))
        raise ApiError(
            503, "Not available now", "this server can send no letters now: tell its operator"
        ) from error
    if server is None:
        raise ApiError(409, "No letters", "this server sends none: people.mail_url is not set")
    return server
