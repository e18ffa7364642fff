"""``sign-in/wallet`` and ``me/credentials/wallet``: a wallet signs a text that says what for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mediaserver.api import context, who
from mediaserver.api.cookies import own_origin
from mediaserver.api.people import ways_in
from mediaserver.http import request_records
from mediaserver.people import wallets
from mediaserver.people.challenges import LIFE_MS, Challenge
from mediaserver.people.credentials import NewCredential
from metering.errors import InvalidValueError
from metering.units import AccountId

_WAY: Final = "wallet"


@dataclass(frozen=True, slots=True)
class Asked:
    """Body with the address that is going to sign."""

    address: str


@dataclass(frozen=True, slots=True)
class Signed:
    """Body with what the wallet's ``signRaw`` gave: ``0x`` and hexadecimal digits."""

    signature: str
    label: str = ""


def routes() -> list[web.RouteDef]:
    """Return the routes of wallets."""
    return [
        web.post("/api/v1/sign-in/wallet/challenge", _ask),
        web.post("/api/v1/sign-in/wallet", _finish),
        web.post("/api/v1/me/credentials/wallet/challenge", _ask),
        web.post("/api/v1/me/credentials/wallet", _finish),
    ]


async def _ask(request: web.Request) -> web.Response:
    shared = context.of(request)
    wanted = await request_records.read(request, Asked)
    await shared.people.load("scalecodec.utils.ss58", "eth_keys.datatypes")
    account = wallets.account_of(wanted.address)
    purpose = ways_in.purpose_of(request, _WAY)
    secret, challenge = ways_in.begin(request, purpose, f"{account.hex()} {wanted.address}")
    return ways_in.asked(shared, secret, {"text": _text(request, challenge)})


async def _finish(request: web.Request) -> web.Response:
    challenge = ways_in.take(request, ways_in.purpose_of(request, _WAY))
    return await ways_in.finish(request, challenge, await _shown(request, challenge))


async def _shown(request: web.Request, challenge: Challenge) -> NewCredential:
    """Return the way in of the wallet that signed what it was asked.

    Raises:
        ApiError: 401 when it did not.
    """
    wanted = await request_records.read(request, Signed)
    account = AccountId(bytes.fromhex(challenge.note.partition(" ")[0]))
    text = _text(request, challenge)
    try:
        return wallets.shown(account, text, wanted.signature, wanted.label)
    except InvalidValueError as error:
        raise who.wrong("wallet", str(error)) from error


def _text(request: web.Request, challenge: Challenge) -> str:
    """Return what a wallet is asked to sign; the same each time for one challenge."""
    origin = own_origin(context.of(request).settings)
    address = challenge.note.partition(" ")[2]
    issued_ms = challenge.expires_ms - LIFE_MS
    return wallets.sign_in_text(origin, address, challenge.value, issued_ms, challenge.expires_ms)
