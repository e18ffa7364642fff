"""``/api/v1/me/escrow``: what a wallet's own account does on the chain, signed by the wallet.

A call is prepared here and its owner's wallet shows and signs it; then it is handed to the node
and followed. The server signs nothing for them, and takes no bytes of a call from them. What they
sign is their word for it: no way in has to be shown again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import ChainPort, Context, EscrowPort
from mediaserver.api.people.me import person_of
from mediaserver.api.streams.rules import hold_place
from mediaserver.api.viewers.kept_calls import KeptCall, KeptCalls
from mediaserver.api.viewers.own_account import known_account
from mediaserver.api.viewers.viewer_self_service import Allowance
from mediaserver.api.who import asked_of_the_chain, principal
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import guests, wallets
from metering.book.records import StreamRecord
from metering.errors import ExtrinsicRejectedError, InvalidValueError
from metering.escrow.call_client import Draft
from metering.escrow.wallet_calls import CallProgress, CallState, hash_of, signer_payload
from metering.model import price
from metering.units import AccountId, Planck, account_text

KEPT: Final = web.AppKey("kept_calls", KeptCalls)
PREPARING: Final = web.AppKey("preparing", Allowance)
"""Calls that each person prepares and looks at, in the current minute: each asks the node."""
_LOOK_MS: Final = 1000
"""Asked more often, the fate of a call is what it was."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Body with an amount."""

    planck: Planck


@dataclass(frozen=True, slots=True)
class WalletJoin:
    """Body of a join.

    Attributes:
        max_spend_planck: What it may cost in all.
        duration_s: When it ends by itself.
        max_price_planck: What a second may cost; None: what it costs now.
    """

    stream: str
    max_spend_planck: Planck
    duration_s: int
    max_price_planck: Planck | None = None


@dataclass(frozen=True, slots=True)
class WalletLeave:
    """Body with the stream that is left."""

    stream: str


@dataclass(frozen=True, slots=True)
class CallSigned:
    """Body with what the wallet's ``signPayload`` gave."""

    signature: str


def routes() -> list[web.RouteDef]:
    """Return the routes of one's own escrow."""
    return [
        web.get("/api/v1/me/escrow", _show),
        web.post("/api/v1/me/escrow/deposit", _deposit),
        web.post("/api/v1/me/escrow/request", _request),
        web.post("/api/v1/me/escrow/withdraw", _withdraw),
        web.post("/api/v1/me/escrow/join", _join),
        web.post("/api/v1/me/escrow/leave", _leave),
        web.post("/api/v1/me/escrow/calls/{call}", _sign),
        web.get("/api/v1/me/escrow/calls/{call}", _follow),
    ]


async def _show(request: web.Request) -> web.Response:
    shared, account = context.of(request), await _payer(request)
    held = await _chain(shared).wallets.escrow(account)
    joins, names = await shared.book.run(
        lambda book: (
            found := book.joins.open_of(account, held.chain_s),
            {item.id: item for item in book.streams.some([join.stream for join in found])},
        )
    )
    return web.json_response(
        {
            "account": account_text(account),
            "operator": account_text(shared.operator.account),
            "free": str(held.free),
            "held": str(held.held),
            "asked_back": str(held.asked.amount) if held.asked else None,
            "ready_in_s": max(0, held.asked.ready_at - held.chain_s) if held.asked else None,
            "joins": [
                {
                    "stream": names[join.stream].slug,
                    "title": names[join.stream].title,
                    "max_spend": str(join.max_spend),
                    "max_price": str(join.max_price),
                    "ends_in_s": max(0, join.expires_s - held.chain_s),
                }
                for join in joins
                if join.stream in names
            ],
        }
    )


async def _deposit(request: web.Request) -> web.Response:
    planck = (await request_records.read(request, Amount)).planck
    account = await _payer(request)
    draft = await _chain(context.of(request)).wallets.deposit(account, planck)
    return _prepared(request, "deposit", draft)


async def _request(request: web.Request) -> web.Response:
    planck = (await request_records.read(request, Amount)).planck
    account = await _payer(request)
    draft = await _chain(context.of(request)).wallets.request(account, planck)
    return _prepared(request, "request_withdraw", draft)


async def _withdraw(request: web.Request) -> web.Response:
    account = await _payer(request)
    draft = await _chain(context.of(request)).wallets.withdraw(account)
    return _prepared(request, "withdraw_escrow", draft)


async def _join(request: web.Request) -> web.Response:
    wanted = await request_records.read(request, WalletJoin)
    account, shared = await _payer(request), context.of(request)
    stream = await _seen(request, wanted.stream)
    await hold_place(request, stream)
    if not stream.is_enabled:
        raise ApiError(409, "Stream closed", f"{stream.slug} is closed to viewers")
    in_force = price.in_force(stream.prices, shared.clock.now_ms() // 1000)
    planck = 0 if in_force is None else in_force.planck_per_tick
    most = planck if wanted.max_price_planck is None else wanted.max_price_planck
    faults = [
        f"{name}: {value} is below what a second of {stream.slug} costs, {planck} planck"
        for name, value in (
            ("max_spend_planck", wanted.max_spend_planck),
            ("max_price_planck", most),
        )
        if value < planck
    ]
    if not wanted.max_spend_planck and not faults:
        faults.append("max_spend_planck: 0 pays for nothing")
    if faults:
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    draft = await _chain(shared).wallets.join(
        account,
        stream.id,
        max_spend=wanted.max_spend_planck,
        max_price=most,
        duration_s=wanted.duration_s,
    )
    return _prepared(request, "join_with_caps", draft)


async def _leave(request: web.Request) -> web.Response:
    wanted = await request_records.read(request, WalletLeave)
    account, shared = await _payer(request), context.of(request)
    # Who joined may leave, also what they may not see any more.
    stream = await shared.book.run(lambda book: book.streams.get(wanted.stream))
    if not (await _escrow(shared).viewer_status(account, stream.id)).is_open:
        await _seen(request, wanted.stream)
        raise ApiError(409, "Not joined", f"you have no open join of {stream.slug} on the chain")
    draft = await _chain(shared).wallets.leave(account, stream.id)
    return _prepared(request, "leave_stream", draft)


async def _sign(request: web.Request) -> web.Response:
    shared, call = context.of(request), _kept(request)
    wanted = await request_records.read(request, CallSigned)
    await shared.people.load("scalecodec.utils.ss58", "eth_keys.datatypes")
    if call.signature is None:
        # A person may have another account by now: theirs is what the call is of.
        account, payload = await _payer(request, is_counted=False), call.draft.payload
        if account != call.draft.account:
            raise ApiError(409, "Begin again", "you pay from another account now: begin again")
        signature = wallets.multi_signature(account, payload, wanted.signature)
    else:
        signature = _same(call, wanted.signature)
    # No wait since it was looked at: of two requests one is the first.
    is_again = call.signature is not None
    if is_again and not hmac.compare_digest(call.signature or b"", signature):
        raise _signed_already()
    if not is_again or call.is_unsure:
        call.signature, call.sent = signature, hash_of(call.draft, signature)
        await _send(request, call, is_again=is_again)
    return web.json_response(_fate_json(call))


async def _send(request: web.Request, call: KeptCall, *, is_again: bool) -> None:
    """Hand a signed call to the node; what may have arrived is sent again as it was."""
    chain, signature = _chain(context.of(request)), call.signature
    assert signature is not None
    assert call.sent is not None
    call.is_unsure = True
    try:
        await asked_of_the_chain(
            request,
            "viewer.escrow.call",
            f"viewer:{account_text(call.draft.account)}",
            lambda: chain.wallets.send(call.draft, signature),
            {"call": call.name, "hash": f"0x{call.sent.hex()}"},
        )
    except ExtrinsicRejectedError as error:
        call.is_unsure = False
        if is_again:
            return  # it may be in a block from before: its fate says
        call.fate = CallProgress(CallState.REFUSED, 0, str(error))
        raise
    call.is_unsure = False


async def _follow(request: web.Request) -> web.Response:
    shared, call = context.of(request), _kept(request)
    now_ms = shared.clock.now_ms()
    if call.sent is None:
        raise ApiError(409, "Not signed", "this call is not signed yet")
    if not call.is_over and now_ms - call.looked_ms >= _LOOK_MS:
        call.looked_ms = now_ms
        call.fate = await _chain(shared).wallets.fate(call.draft, call.sent)
    return web.json_response(_fate_json(call))


def _same(call: KeptCall, text: str) -> bytes:
    """Return the signature that a call was sent with, if this is it.

    Raises:
        ApiError: 409 when it is another one.
    """
    try:
        return wallets.multi_signature(call.draft.account, call.draft.payload, text)
    except InvalidValueError as error:
        raise _signed_already() from error


def _signed_already() -> ApiError:
    return ApiError(
        409, "Signed already", "this call was signed and sent before: a call is signed once"
    )


def _prepared(request: web.Request, name: str, draft: Draft) -> web.Response:
    """Answer with what the wallet is asked to sign."""
    shared, who = context.of(request), principal(request)
    assert who.session is not None
    made = request.app[KEPT].add(
        person_of(request), who.session, name, draft, shared.clock.now_ms()
    )
    payload = signer_payload(draft, wallets.address_of(draft.account))
    return web.json_response(
        {"call": made.id, "name": name, "expires_ms": made.expires_ms, "payload": payload},
        status=HTTPStatus.CREATED,
    )


def _kept(request: web.Request) -> KeptCall:
    shared, who = context.of(request), principal(request)
    _chain(shared)
    return request.app[KEPT].get(
        request.match_info["call"], person_of(request), who.session or "", shared.clock.now_ms()
    )


def _fate_json(call: KeptCall) -> dict[str, Any]:
    assert call.sent is not None
    return {
        "call": call.id,
        "name": call.name,
        "hash": f"0x{call.sent.hex()}",
        "state": call.fate.state.value,
        "block": call.fate.block or None,
        "reason": call.fate.reason,
    }


async def _payer(request: web.Request, *, is_counted: bool = True) -> AccountId:
    """Return the wallet's account that who is signed in pays from.

    Raises:
        ApiError: 409 when there is no chain, or they pay from no wallet; 429.
    """
    shared, person = context.of(request), person_of(request)
    escrow = _escrow(shared)
    if is_counted:
        request.app[PREPARING].hold(person, shared.clock.now_ms())
    account = await known_account(request, person)
    if account is None:
        raise ApiError(
            409,
            "No account yet",
            "you pay from no account yet: let your wallet's own pay (PUT /api/v1/me/account)",
            reason="no_account",
        )
    if await escrow.holds(account):
        raise ApiError(
            409,
            "Not a wallet's",
            f"the server keeps the key of your account {account_text(account)} and signs for it: "
            "a wallet cannot",
            reason="custodial",
        )
    await shared.people.load("scalecodec.utils.ss58")
    return account


async def _seen(request: web.Request, slug: str) -> StreamRecord:
    who = principal(request)
    return await context.of(request).people.write(
        lambda book, connection: guests.seen_stream(book, connection, slug, who)
    )


def _chain(shared: Context) -> ChainPort:
    if shared.chain is None:
        raise _no_chain()
    return shared.chain


def _escrow(shared: Context) -> EscrowPort:
    if shared.escrow is None:
        raise _no_chain()
    return shared.escrow


def _no_chain() -> ApiError:
    return ApiError(
        409,
        "No chain",
        "this server settles in its journal: there is no escrow, and you pay in at your account",
        reason="no_chain",
    )
