"""``sign-in/oidc/{issuer}``: away to who vouches for somebody, and back with their word."""

from __future__ import annotations

import json
import secrets
from typing import Final

from aiohttp import web

from mediaserver import log
from mediaserver.api import context, who
from mediaserver.api.context import Context
from mediaserver.api.cookies import TRY, cookie, set_cookie
from mediaserver.api.people import ways_in
from mediaserver.http.problem import ApiError
from mediaserver.people.challenges import LIFE_MS
from mediaserver.people.credentials import NewCredential
from mediaserver.people.jwks import IssuerError
from mediaserver.people.oidc import Issuer
from mediaserver.people.records import CredentialKind
from metering.errors import InvalidValueError

_WAY: Final = "oidc"
ISSUERS: Final = web.AppKey("issuers", dict[str, Issuer])

_log = log.get("people")


def routes() -> list[web.RouteDef]:
    """Return the routes of issuers."""
    return [
        web.post("/api/v1/sign-in/oidc/{issuer}", _away),
        web.post("/api/v1/me/credentials/oidc/{issuer}", _away),
        web.get("/api/v1/sign-in/oidc/{issuer}/back", _back, allow_head=False),
    ]


def issuers(shared: Context) -> dict[str, Issuer]:
    """Return the issuers of the configuration by their names."""
    return {item.name: Issuer(item, shared.clock) for item in shared.settings.people.oidc}


async def _away(request: web.Request) -> web.Response:
    shared, issuer = context.of(request), _issuer(request)
    await shared.people.load("joserfc.jwt", "joserfc.jwk")
    verifier, state = secrets.token_urlsafe(32), secrets.token_urlsafe(16)
    note = json.dumps({"issuer": issuer.name, "verifier": verifier, "state": state})
    purpose = ways_in.purpose_of(request, _WAY)
    secret, challenge = ways_in.begin(request, purpose, note)
    try:
        url = await issuer.address(
            _redirect(shared, issuer), f"{purpose}.{state}", challenge.value.hex(), verifier
        )
    except IssuerError as error:
        raise _unavailable(error) from error
    response = web.json_response({"url": url})
    set_cookie(response, TRY, secret, LIFE_MS // 1000, shared.settings)
    return response


async def _back(request: web.Request) -> web.Response:
    """Take somebody back, to their page; what went wrong is told there."""
    try:
        answer = await _vouched(request)
    except ApiError as error:
        _log.info("people.oidc.refused", reason=error.detail)
        await who.note_refusal(request, error)
        is_late = error.extra.get("reason") == who.SHOW_AGAIN
        location = f"/me/#refused={'late' if is_late else _WAY}"
        answer = web.Response()
    else:
        location = "/me/"
        answer.body = b""  # a page comes next: what a program would read is not for it
    answer.set_status(303)
    answer.headers["Location"] = location
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _vouched(request: web.Request) -> web.Response:
    shared, issuer = context.of(request), _issuer(request)
    purpose, _, state = request.query.get("state", "").partition(".")
    if purpose not in (_WAY, f"{ways_in.ADD}{_WAY}"):
        raise ApiError(409, "Begin again", "the issuer sent no state of ours back")
    secret = cookie(request, TRY, shared.settings)
    challenge = shared.people.challenges.take(purpose, secret, shared.clock.now_ms())
    note = {} if challenge is None else json.loads(challenge.note)
    if challenge is None or (note["issuer"], note["state"]) != (issuer.name, state):
        raise ApiError(409, "Begin again", "this browser was not sent there within five minutes")
    if "code" not in request.query:
        reason = request.query.get("error", "no code")[:80]
        raise ApiError(403, "Refused there", f"{issuer.name}: {reason}")
    redirect = _redirect(shared, issuer)
    try:
        vouched = await issuer.vouched(
            request.query["code"], redirect, challenge.value.hex(), note["verifier"]
        )
    except IssuerError as error:
        raise _unavailable(error) from error
    except InvalidValueError as error:
        raise who.wrong("oidc", str(error)) from error
    subject = f"{issuer.name} {vouched.subject}"
    shown = NewCredential(CredentialKind.OIDC, subject, issuer.name)
    return await ways_in.finish(request, challenge, shown, vouched.name)


def _issuer(request: web.Request) -> Issuer:
    name = request.match_info["issuer"]
    try:
        return request.app[ISSUERS][name]
    except KeyError as error:
        raise ApiError(404, "Unknown name", f"no issuer {name[:32]!r} in people.oidc") from error


def _redirect(shared: Context, issuer: Issuer) -> str:
    return f"{shared.settings.public_url}/api/v1/sign-in/oidc/{issuer.name}/back"


def _unavailable(error: IssuerError) -> ApiError:
    _log.warning("people.oidc.unavailable", reason=str(error))
    return ApiError(503, "Not available now", str(error), {"Retry-After": "5"})
